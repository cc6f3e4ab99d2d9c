#!/usr/bin/env python3
"""Include directions, lengths, words and format: the limits of docs/house-style.md and the
picture of docs/layout.md, kept by a machine. check.py TOP; prints FILE:LINE: what."""
import os
import re
import subprocess
import sys

# A folder may include folders of lower levels, itself, and what SIDEWAYS names.
LEVEL = {
    "controller/base": 0,
    "fencing/rules": 1, "controller/core": 1,
    "controller/net": 2, "controller/outbound": 2, "proto": 2, "controller/audit": 2, "controller/config": 2, "fencing/guard": 2,
    "controller/consensus": 3, "fencing/methods": 3, "providers": 3, "controller/httpd": 3,
    "fencing/gate": 3, "controller/people": 3,
    "controller/daemon": 4, "controller/http": 4, "fencing/agent": 4, "controller/cli": 4,
}
SIDEWAYS = {
    ("controller/core", "fencing/rules"),
    ("fencing/methods", "providers"),
    ("controller/daemon", "controller/http"),
}
PURE = {"fencing/rules", "controller/core"}
STANDARD = set("""assert errno inttypes limits math stdarg stdbool stddef stdint stdio stdlib
string""".split())
SOURCES = ("controller", "proto", "fencing", "providers", "tests", "chaos", "bench")
FILE_MAX, FUNCTION_MAX, COLUMNS_MAX, PARAMETERS_MAX = 600, 60, 92, 6
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|stub(bed)?|for now|placeholder|unimplemented|"
                   r"not implemented)\b", re.I)
SLEEP = re.compile(r"\bu?sleep\s*\(")
CONDITIONAL = re.compile(r"#\s*(if|ifdef|ifndef|elif)\b")
FOUND = []


def found(path, line, what):
    FOUND.append(f"{path}:{line}: {what}")


def folder_of(path):
    parts = path.split("/")
    return parts[0] if parts[0] in ("proto", "providers", "chaos", "tests", "bench") else \
        "/".join(parts[:2])


def check_include(path, n, line):
    folder = folder_of(path)
    system = re.match(r"#include <([^>]+)>", line)
    if system and folder in PURE and system[1].removesuffix(".h") not in STANDARD:
        found(path, n, f"{folder} is pure: no <{system[1]}>")
    if system and system[1] == "raft.h" and folder not in ("controller/consensus", "tests"):
        found(path, n, "only controller/consensus includes raft.h")
    ours = re.match(r'#include "([^"]+)"', line)
    if not ours or folder in ("tests", "bench"):
        return
    target = folder_of(ours[1])
    if ours[1].endswith(".skel.h"):
        return  # bpftool's, made beside the objects
    if "/" not in ours[1]:
        found(path, n, "includes are relative to the root")
    elif target == folder or (folder, target) in SIDEWAYS:
        return
    elif folder == "chaos" or target in ("chaos", "tests"):
        found(path, n, f"{folder} may not include {target}")
    elif folder not in LEVEL or target not in LEVEL:
        found(path, n, f"{folder} -> {target}: not in docs/layout.md")
    elif LEVEL[target] >= LEVEL[folder]:
        found(path, n, f"{folder} may not include {target} (docs/layout.md)")


def check_line(path, n, line):
    if len(line) > COLUMNS_MAX:
        found(path, n, f"{len(line)} columns, at most {COLUMNS_MAX}")
    word = WORDS.search(line)
    if word:
        found(path, n, f"the word '{word[0]}'")
    if SLEEP.search(line):
        found(path, n, "sleeps: wait for an event, or poll with a deadline")
    check_include(path, n, line)


def check_conditionals(path, lines):
    if path.startswith("controller/base/"):
        return
    guard = path.endswith(".h")
    for n, line in enumerate(lines, 1):
        if not CONDITIONAL.match(line):
            continue
        if guard and line.startswith("#ifndef RF_"):
            guard = False
            continue
        found(path, n, "conditional compilation outside controller/base")


def check_functions(path, lines):
    """clang-format puts the braces of functions, and only theirs, into the first column."""
    start = 0
    for n, line in enumerate(lines, 1):
        if line == "{":
            start = n
        elif line == "}" and start:
            if n - start - 1 > FUNCTION_MAX:
                found(path, start, f"a function of {n - start - 1} lines")
            if not path.startswith("tests/"):
                check_parameters(path, lines, start)
            start = 0


def check_parameters(path, lines, start):
    first = start - 1
    while first > 0 and lines[first - 1] and lines[first - 1][0] not in "}#/ ;":
        first -= 1
    head = " ".join(lines[first:start - 1])
    inner = head[head.find("(") + 1:head.rfind(")")]
    depth = commas = 0
    for c in inner:
        depth += (c == "(") - (c == ")")
        commas += c == "," and depth == 0
    if commas + 1 > PARAMETERS_MAX:
        found(path, start, f"{commas + 1} parameters, at most {PARAMETERS_MAX}")


CONSTRUCTORS = "tests/unit/heap/constructors.txt"
# What can fail is MUST_USE, or gives a pointer; the rest only writes into what is there.
CONSTRUCTOR = re.compile(r"^(?:MUST_USE int |struct \w+ \*)(\w+_(?:open|new|start|adopt))\(")


def constructors(top, files):
    """{name: (header, line)} of what the product's headers declare."""
    declared = {}
    for path in files:
        if not path.endswith(".h") or path.startswith(("tests/", "chaos/", "bench/")):
            continue
        with open(os.path.join(top, path), encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                m = CONSTRUCTOR.match(line)
                if m:
                    declared[m[1]] = (path, n)
    return declared


def check_constructors(top, files):
    """Each is tried with each of its allocations failing, or says why not."""
    declared = constructors(top, files)
    listed = set()
    with open(os.path.join(top, CONSTRUCTORS), encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            if not line.strip() or line.startswith("#"):
                continue
            m = re.fullmatch(r"(\w+)\s+(?:- (.+)|(tests/\S+?)(?:\s+in (\w+))?)\n", line)
            if not m:
                found(CONSTRUCTORS, n, "neither NAME FILE [in OTHER] nor NAME - why")
                continue
            listed.add(m[1])
            if m[1] not in declared:
                found(CONSTRUCTORS, n, f"no header declares {m[1]}()")
            if m[3] and not calls(os.path.join(top, m[3]), m[4] or m[1]):
                found(CONSTRUCTORS, n, f"{m[3]} does not call {m[4] or m[1]}()")
    for name in sorted(set(declared) - listed):
        found(*declared[name], f"{name}() is not in {CONSTRUCTORS}")


def calls(path, name):
    try:
        with open(path, encoding="utf-8") as f:
            return re.search(rf"\b{name}\(", f.read()) is not None
    except FileNotFoundError:
        return False


MUTANTS, SEEDS, SAFETY = "tests/sim/mutants.table", "tests/sim/mutants.seeds", "docs/safety.md"
MUTANT_ROW = re.compile(r"\| `([a-z_]+)`: (.*) \| ([^|]*) \| (\d+|file) \|\n")
# Where it is said how many there are, in all and without those of the modelled provider.
MUTANT_COUNTS = {
    SAFETY: [r"`tests/sim/mutants.table` has (?P<all>\d+),",
             r"(?P<shipped>\d+) are in the shipped code"],
    "CHANGELOG.md": [r"(?P<all>\d+) planted bugs that it finds"],
}


def planted(top, roots):
    names = set()
    for root in roots:
        for folder, _, files in os.walk(os.path.join(top, root)):
            for name in files:
                if name.endswith(".c"):
                    with open(os.path.join(folder, name), encoding="utf-8") as f:
                        names.update(re.findall(r"\bMUTANT\(\s*([a-z_]+)", f.read()))
    return names


def check_mutants(top):
    """The planted bugs as docs/safety.md lists them: what, by whose judgement, which seed."""
    def lines(path):
        with open(os.path.join(top, path), encoding="utf-8") as f:
            return list(f)
    seeds = dict(line.split() for line in lines(SEEDS))
    table = {}
    for line in lines(MUTANTS):
        if line.strip() and not line.startswith("#"):
            name, judgement, what = (part.strip() for part in line.split("|"))
            found_by = os.path.join(top, f"tests/sim/found/{name}.schedule")
            seed = "file" if os.path.exists(found_by) else seeds.get(name, "none")
            table[name] = (what, judgement, seed)
    told = {}
    for n, line in enumerate(lines(SAFETY), 1):
        row = MUTANT_ROW.fullmatch(line)
        if row:
            told[row[1]] = n
            if table.get(row[1]) != row.groups()[1:]:
                found(SAFETY, n, f"{row[1]}: {MUTANTS} and {SEEDS} have {table.get(row[1])}")
    for name in sorted(set(table) - set(told)):
        found(SAFETY, 0, f"the planted bug {name} is not in the table")
    for name in sorted(set(seeds) - set(table)):
        found(SEEDS, 0, f"{name} is not in {MUTANTS}")
    counts = {"all": len(table), "shipped": len(planted(top, ("controller", "fencing", "proto")))}
    for path, patterns in MUTANT_COUNTS.items():
        text = "".join(lines(path))
        for pattern in patterns:
            m = re.search(pattern, text)
            if not m:
                found(path, 0, f"does not say how many planted bugs there are: {pattern}")
            for key, value in m.groupdict().items() if m else ():
                if int(value) != counts[key]:
                    found(path, text[:m.start()].count("\n") + 1,
                          f"{value} planted bugs: there are {counts[key]} ({key})")


def check_file(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    if len(lines) - 1 > FILE_MAX:
        found(path, FILE_MAX, f"{len(lines) - 1} lines, at most {FILE_MAX}")
    for n, line in enumerate(lines, 1):
        check_line(path, n, line)
    check_conditionals(path, lines)
    check_functions(path, lines)


def sources(top):
    for root in SOURCES:
        for folder, _, names in os.walk(os.path.join(top, root)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), top)


def main():
    top = sys.argv[1]
    files = list(sources(top))
    if not files:
        sys.exit("check.py: no sources found")
    for path in files:
        check_file(top, path)
    check_constructors(top, files)
    check_mutants(top)
    for i in range(0, len(files), 50):
        subprocess.run(["clang-format", "--dry-run", "-Werror", *files[i:i + 50]], cwd=top,
                       check=False).returncode and found(files[i], 0, "clang-format -i (above)")
    print("\n".join(FOUND))
    print(f"{len(files)} files, {len(FOUND)} findings")
    sys.exit(1 if FOUND else 0)


main()
