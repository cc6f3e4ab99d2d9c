#!/usr/bin/env python3
"""The man pages (docs/man) against what they are about: mandoc's rules, --help of the
programs, the keys that the settings code knows, the exit codes of the headers.
man.py TOP BIN; prints PAGE: what."""
import os
import re
import shutil
import subprocess
import sys

# Where each program's exit codes are: file, a name in the enum, and what is a plain number.
USAGE = ("controller/base/help.h", "HELP_EXIT_USAGE")
PROGRAMS = {
    "ringfence.1": ([("controller/cli/cli.h", "CLI_OK")], set()),
    "ringfenced.8": ([("controller/daemon/daemon.h", "EXIT_OK"), USAGE], set()),
    "ringfence-agent.8": ([("fencing/agent/main.c", "EXIT_OK"), USAGE], set()),
    "ringfence-guard.8": ([("fencing/guard/main.c", "EXIT_BUSY")], {"0", "2"}),
    "ringfence-lab.1": ([("chaos/main.c", "EXIT_NOT_OK")], {"0", "64"}),
}
# Where each file's keys are, and the outermost list of fields.
FILES = {
    "ringfenced.yaml.5": (["controller/daemon/settings.c",
                           "controller/daemon/settings_api.c", "controller/daemon/settings_people.c",
                           "controller/daemon/settings_fencers.c", "controller/daemon/settings_notify.c"], "fields"),
    "ringfence-agent.yaml.5": (["fencing/agent/agent_settings.c"], "file_fields"),
    "ringfence-group.yaml.5": (["controller/cli/group_file.c"], "file_fields"),
}
# How a field is said: the argument that is its key. What is not here is a finding.
KEY_AT = {"TEXT": 1, "SWITCH": 1, "UNIT": 0, "CONFIG_UNIT": 0, "CONFIG_FREE_MAPPING": 0,
          "OPTIONAL_COUNT": 0}
OPTIONAL = {"CYAML_FLAG_OPTIONAL", "OPTIONAL_POINTER", "MAY"}
ALWAYS_OPTIONAL = {"SWITCH", "UNIT", "OPTIONAL_COUNT"}
FOUND = []


def found(page, what):
    FOUND.append(f"docs/man/{page}: {what}")


def differ(page, what, there, wanted, where):
    for one in sorted(wanted - there):
        found(page, f"lacks the {what} {one} of {where}")
    for one in sorted(there - wanted):
        found(page, f"has the {what} {one}, which {where} lacks")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def lint(top, page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning",
                           os.path.join("docs/man", page)], cwd=top, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    for line in done.stdout.splitlines():
        found(page, line)
    if done.returncode and not done.stdout:
        found(page, f"mandoc ended with {done.returncode}")


# ---- pages ------------------------------------------------------------------------------


def items(text):
    """(section, subsection, words behind .It, text below) of each item."""
    section = sub = ""
    out = []
    for line in text.split("\n"):
        if line.startswith(".Sh "):
            section, sub = line[4:], ""
        elif line.startswith(".Ss "):
            sub = re.sub(r"Op (\S+)", r"[\1]", line[4:])
        elif line.startswith(".It"):
            out.append((section, sub, line[3:].split(), []))
            continue
        if line.startswith((".Sh ", ".Ss ")):
            out.append((section, sub, [], []))
        elif out:
            out[-1][3].append(line)
    return [(a, b, words, " ".join(below)) for a, b, words, below in out]


def option_of_item(words):
    """`Fl c , Fl -config Ar file` as "-c, --config file"."""
    flags = ["-" + words[n + 1] for n, w in enumerate(words) if w == "Fl"]
    values = [words[n + 1] for n, w in enumerate(words) if w == "Ar"]
    return " ".join([", ".join(flags)] + values[:1])


def option_of_help(term):
    """`--scenario NAME[,NAME]` as "--scenario name"."""
    flags = re.findall(r"(?<!\S)-[^\s,]+", term)
    value = re.search(r" ([A-Z]+)\S*$", term)
    return " ".join([", ".join(flags)] + ([value[1].lower()] if value else []))


def options_in(page_items, where=lambda section, sub: True):
    return {option_of_item(words) for section, sub, words, _ in page_items
            if words[:1] == ["Fl"] and where(section, sub)}


# ---- programs ---------------------------------------------------------------------------


def ask_help(program, *words):
    done = subprocess.run([program, *words, "--help"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    return done.stdout


def help_sections(text):
    """title -> terms of the left column."""
    title, out = "", {"": []}
    for line in text.split("\n"):
        head = re.fullmatch(r"([a-z ]+):", line)
        term = re.match(r"  (\S.*?)(?:  |$)", line)
        if head:
            title = head[1]
            out[title] = []
        elif term:
            out[title].append(term[1])
    return out


def check_options(page, page_items, program):
    helped = help_sections(ask_help(program))
    terms = helped.get("options", helped[""])
    commands = helped.get("commands", [])
    wanted = {option_of_help(t) for t in terms if t.startswith("-")}
    differ(page, "option", options_in(page_items, lambda section, _: section != "COMMANDS"),
           wanted, "--help")
    differ(page, "command", {sub for section, sub, _, _ in page_items
                             if section == "COMMANDS" and sub}, set(commands), "--help")
    for command in commands:
        name = re.match(r"[a-z]+( (init|issue|renew|revoke|show|replace|add|list|remove|token|"
                        r"totp|unlock|export|verify|keys)\b)?", command)[0]
        terms = help_sections(ask_help(program, *name.split())).get("options", [])
        differ(page, f"option of {name}:",
               options_in(page_items, lambda _, sub, command=command: sub == command),
               {option_of_help(t) for t in terms}, f"{name} --help")
    for title, macro in (("environment", "Ev"), ("files", "Pa")):
        named = {words[1] for _, _, words, _ in page_items if words[:1] == [macro]}
        for term in set(helped.get(title, [])) - named:
            found(page, f"lacks {term}, of `{title}` of --help")


def exit_codes(top, path, first):
    """The numbers of the enum that has this name, by the names' common beginning."""
    prefix = first[:first.rindex("EXIT_") + 5] if "EXIT_" in first else "CLI_"
    for body in re.findall(r"enum[^{;]*\{([^}]*)\}", read(top, path)):
        if re.search(rf"\b{first}\b", body):
            return set(re.findall(rf"\b{prefix}\w+ = (\d+)", body))
    sys.exit(f"man.py: {path} has no enum with {first}")


def check_exits(page, page_items, top, program):
    enums, wanted = PROGRAMS[page][0], set(PROGRAMS[page][1])
    there = {words[0] for section, _, words, _ in page_items
             if section == "EXIT STATUS" and words}
    for path, first in enums:
        wanted |= exit_codes(top, path, first)
    differ(page, "exit status", there, wanted, enums[0][0])
    text = ask_help(program)
    told = set(help_sections(text).get("exit status", []))
    plain = re.search(r"Exit status:(.*)", text, re.S)
    if plain:
        told = set(re.findall(r"\b(\d+) [a-z]", plain[1]))
    if told:
        differ(page, "exit status", there, told, "--help")


# ---- files ------------------------------------------------------------------------------


def arguments(text, start):
    """Of the call whose parenthesis opens before `start`, and where it ends."""
    depth, at, out = 1, start, [""]
    while depth:
        c = text[at]
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 1:
            out.append("")
        elif depth:
            out[-1] += c
        at += 1
    return [a.strip() for a in out], at


class Schema:
    """What the C of libcyaml's tables says: key -> whether it may be left out."""

    def __init__(self, page, top, paths):
        code = "\n".join(read(top, path) for path in paths)
        self.page = page
        self.fields = dict(re.findall(
            r"cyaml_schema_field_t (\w+)\[\] = \{(.*?)CYAML_FIELD_END", code, re.S))
        self.values = dict(re.findall(
            r"cyaml_schema_value_t (\w+) = \{(.*?)\};", code, re.S))

    def keys(self, name, prefix=""):
        out, at = {}, 0
        while True:
            call = re.compile(r"\b([A-Z][A-Z0-9_]*)\(").search(self.fields[name], at)
            if not call:
                return out
            args, at = arguments(self.fields[name], call.end())
            if call[1] not in KEY_AT and not call[1].startswith("CYAML_FIELD_"):
                found(self.page, f"{name}: {call[1]}() is unknown to tests/tidy/man.py")
                continue
            key = prefix + args[KEY_AT.get(call[1], 0)].strip('"')
            words = set(re.findall(r"\w+", " ".join(args)))
            out[key] = bool(words & OPTIONAL) or call[1] in ALWAYS_OPTIONAL
            for one in args[1:]:
                if one in self.fields:
                    out.update(self.keys(one, key + "."))
                inner = re.findall(r"\w+", self.values.get(one.lstrip("&"), ""))
                for below in set(inner) & set(self.fields):
                    out.update(self.keys(below, key + "[]."))


def region_keys(top):
    """Free keys of regions are read by hand; the server's list has them all."""
    code = read(top, "controller/http/document.c")
    body = re.search(r"int read_region\(.*?keys\[\] = \{([^}]*)\}", code, re.S)[1]
    return {"regions[]." + key for key in re.findall(r'"(\w+)"', body)}


def check_keys(page, page_items, top):
    paths, root = FILES[page]
    keys = Schema(page, top, paths).keys(root)
    more = region_keys(top) if "regions" in keys else set()
    there = {words[1]: below for _, _, words, below in page_items if words[:1] == ["Ic"]}
    differ(page, "key", set(there), set(keys) | more, " and ".join(paths))
    for key in set(keys) & set(there):
        required = "Required." in there[key]
        if keys[key] == required:
            found(page, f"{key}: \"Required.\" is {'said' if required else 'not said'}")
        if keys[key] and not re.search(r"\bdefault\b|\bOptional\.", there[key]):
            found(page, f"{key}: its default is not said")


# ---- all --------------------------------------------------------------------------------


def check_names(page, text, pages):
    name, section = page.rsplit(".", 1)
    if f".Dt {name.upper()} {section}\n" not in text:
        found(page, f".Dt {name.upper()} {section} is expected")
    for other, number in re.findall(r"^\.Xr (ringfence\S*) (\d)", text, re.M):
        if f"{other}.{number}" not in pages:
            found(page, f"there is no page {other}({number})")


def main():
    top, programs = sys.argv[1:3]
    pages = sorted(os.listdir(os.path.join(top, "docs/man")))
    if shutil.which("mandoc") is None:
        sys.exit("man.py: mandoc is missing: run deploy/install-deps")
    for page in sorted(set(PROGRAMS) | set(FILES) | set(pages)):
        if page not in pages or page not in PROGRAMS and page not in FILES:
            found(page, "is missing, or is not listed in tests/tidy/man.py")
            continue
        text = read(top, "docs/man", page)
        lint(top, page)
        check_names(page, text, pages)
        if page in FILES:
            check_keys(page, items(text), top)
            continue
        program = os.path.join(programs, page.rsplit(".", 1)[0])
        check_options(page, items(text), program)
        check_exits(page, items(text), top, program)
    print("\n".join(FOUND))
    print(f"{len(pages)} pages, {len(FOUND)} findings")
    sys.exit(1 if FOUND else 0)


main()
