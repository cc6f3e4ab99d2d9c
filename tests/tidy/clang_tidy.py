#!/usr/bin/env python3
"""clang-tidy over every source of compile_commands.json, two at a time, one process per file
(its analyzer mixes up va_lists of several). What was clean is not looked at again until the
file or any header of ours changes. clang_tidy.py TOP BUILD"""
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys

# The simulator is compiled with options that only gcc knows.
FLAGS = ["--quiet", "--extra-arg=-Wno-unknown-warning-option"]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def headers_digest(top):
    digest = hashlib.sha256(read(os.path.join(top, ".clang-tidy")))
    for root in ("controller", "proto", "fencing", "providers", "chaos", "tests"):
        for folder, _, names in sorted(os.walk(os.path.join(top, root))):
            for name in sorted(n for n in names if n.endswith(".h")):
                digest.update(read(os.path.join(folder, name)))
    return digest


def look_at(build, path):
    run = subprocess.run(["clang-tidy", *FLAGS, "-p", build, path], capture_output=True,
                         text=True, check=False)
    return path, run.returncode, run.stdout


def main():
    top, build = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    commands = json.loads(read(os.path.join(build, "compile_commands.json")))
    files = sorted({c["file"] for c in commands
                    if c["file"].startswith(top) and not c["file"].startswith(build)})
    stamps = os.path.join(build, "clang-tidy-clean")
    os.makedirs(stamps, exist_ok=True)
    headers = headers_digest(top)
    todo = {}
    for path in files:
        digest = headers.copy()
        digest.update(path.encode() + read(path))
        stamp = os.path.join(stamps, digest.hexdigest())
        if not os.path.exists(stamp):
            todo[path] = stamp
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, status, output in pool.map(lambda p: look_at(build, p), todo):
            if status == 0:
                open(todo[path], "w", encoding="utf-8").close()
            else:
                bad += 1
                print(output)
    print(f"{len(files)} files, {len(todo)} looked at, {bad} not clean")
    sys.exit(1 if bad or not files else 0)


main()
