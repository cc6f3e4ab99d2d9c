#!/usr/bin/env python3
"""clang-tidy over every source of compile_commands.json, two at a time, one process per file
(its analyzer mixes up va_lists of several). What was clean is not looked at again until the
file or what it includes changes. clang_tidy.py TOP BUILD

A source that several programs are made of (the simulator compiles the product anew, three
times) is looked at as its own library compiles it, once: clang-tidy would take one command
after the other and say the same again."""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

# The simulator is compiled with options that only gcc knows.
FLAGS = ["--quiet", "--extra-arg=-Wno-unknown-warning-option"]
# How many nodes the analyser may visit of one function; 225,000 if nothing is said, which
# takes five sixths of the time of a whole run. `tests/run --proof` gives it all of them.
NODES = int(os.environ.get("CLANG_TIDY_NODES", "60000"))
# Paths through a test multiply with each assertion of cmocka, and the sanitizers walk them for
# real.
NODES_TESTS = min(NODES, 30000)


def analyser(nodes):
    return [f"--extra-arg={word}" for word in
            ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={nodes}")]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def dependencies(build):
    """{source: files it was compiled from}, as ninja noted them in the last build."""
    listing = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True,
                             text=True, check=True).stdout
    found = {}
    for block in listing.split("\n\n"):
        names = [os.path.realpath(os.path.join(build, line.strip()))
                 for line in block.splitlines() if line.startswith("    ")]
        if names:
            found.setdefault(names[0], set()).update(names)
    return found


def once_each(top, build):
    """{source: its command}: of several, that of the folder nearest to it, without planted
    bugs."""
    chosen = {}
    for command in json.loads(read(os.path.join(build, "compile_commands.json"))):
        path = command["file"]
        if not path.startswith(top + os.sep) or path.startswith(build + os.sep):
            continue
        made = re.search(r" -o (\S+)", command["command"])[1]
        shared = os.path.commonpath([made, os.path.relpath(path, top)])
        rank = ("-DRF_MUTANTS" in command["command"], -len(shared))
        if path not in chosen or rank < chosen[path][0]:
            chosen[path] = (rank, command)
    return {path: command for path, (_, command) in sorted(chosen.items())}


def look_at(top, commands, path):
    tests = path.startswith(os.path.join(top, "tests"))
    nodes = analyser(NODES_TESTS if tests else NODES)
    run = subprocess.run(["clang-tidy", *FLAGS, *nodes, "-p", commands, path],
                         capture_output=True, text=True, check=False)
    return path, run.returncode, run.stdout


def main():
    top, build = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    files = once_each(top, build)
    commands = os.path.join(build, "clang-tidy")
    os.makedirs(commands, exist_ok=True)
    with open(os.path.join(commands, "compile_commands.json"), "w", encoding="utf-8") as f:
        json.dump(list(files.values()), f)
    stamps = os.path.join(build, "clang-tidy-clean")
    os.makedirs(stamps, exist_ok=True)
    compiled_from = dependencies(build)
    rules = hashlib.sha256(read(os.path.join(top, ".clang-tidy")) + f"{NODES}".encode())
    todo = {}
    for path in files:
        digest = rules.copy()
        for name in sorted(compiled_from.get(path, ())):
            if name.startswith(top) and os.path.exists(name):
                digest.update(name.encode() + read(name))
        digest.update(path.encode() + read(path))
        stamp = os.path.join(stamps, digest.hexdigest())
        if not os.path.exists(stamp):
            todo[path] = stamp
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, status, output in pool.map(lambda p: look_at(top, commands, p), todo):
            if status == 0:
                open(todo[path], "w", encoding="utf-8").close()
            else:
                bad += 1
                print(output)
    print(f"{len(files)} files, {len(todo)} looked at, {bad} not clean")
    sys.exit(1 if bad or not files else 0)


main()
