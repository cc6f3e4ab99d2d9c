"""deploy/demo refuses what the laboratory would refuse, before it installs or builds, and
nothing that the laboratory takes."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

LAB, SOURCE = sys.argv[1:3]
INSTALLED = 99


def make_tree(top):
    """A clone whose install-deps only says that it was reached."""
    os.makedirs(os.path.join(top, "deploy"))
    os.makedirs(os.path.join(top, "chaos"))
    shutil.copy(os.path.join(SOURCE, "deploy/demo"), os.path.join(top, "deploy/demo"))
    shutil.copytree(os.path.join(SOURCE, "chaos/scenarios"), os.path.join(top, "chaos/scenarios"))
    path = os.path.join(top, "deploy/install-deps")
    with open(path, "w", encoding="ascii") as out:
        out.write(f"#!/bin/sh\nexit {INSTALLED}\n")
    os.chmod(path, 0o755)


def lab(*words):
    return subprocess.run([LAB, *words], check=False, capture_output=True, text=True)


def demo(top, *words):
    return subprocess.run([os.path.join(top, "deploy/demo"), *words], check=False,
                          capture_output=True, text=True)


# What both take, and what both refuse, naming option and value.
VALUES = (("--ttl", ("300", "60000", "0500"),
           ("0", "abc", "-5", "299", "60001", "", "500ms", "99999999999999999999")),
          ("--sync", ("off", "preferred", "required", "strict"), ("x", "Off", "", "none")),
          ("--workload", ("on", "off"), ("x", "On", "", "yes")),
          ("--minutes", ("1", "10080"), ("0", "x", "", "10081", "-1")),
          ("--seed", ("0", "4294967295"), ("x", "-1", "", "4294967296", "1.5")))


def check_values(top, accepted):
    for name, good, bad in VALUES:
        for value in good:
            for words in ([name, value], [f"{name}={value}"]):
                r = demo(top, *words)
                assert r.returncode == accepted, (words, r)
        for value in bad:
            for words in ([name, value], [f"{name}={value}"]):
                r = demo(top, *words)
                assert r.returncode == 64 and f"{name} {value}" in r.stderr, (words, r)
            r = lab(name, value)
            assert r.returncode == 64 and f"{name} {value}" in r.stderr, (name, value, r)


# A question is answered by both, in either form, and nothing is installed for it.
def check_help(top):
    for word in ("-h", "--help"):
        r = demo(top, word)
        assert r.returncode == 0 and "--no-install" in r.stdout, (word, r)
        r = lab(word)
        assert r.returncode == 0 and r.stdout.startswith("usage:"), (word, r)


def main():
    usage = subprocess.run([LAB, "--help"], check=True, capture_output=True, text=True)
    options = re.findall(r"^  (?:-[a-z], )?(--[a-z]+)(?: ([A-Z]+))?", usage.stdout, re.M)
    scenarios = re.findall(r"^      ([a-z-]+) ", usage.stdout, re.M)
    assert len(options) >= 9 and len(scenarios) >= 12, usage.stdout
    with tempfile.TemporaryDirectory() as top:
        make_tree(top)
        # As another user it ends one check later, and nothing is installed either way.
        accepted = INSTALLED if os.geteuid() == 0 else 2
        for words, named in ((["--bogus"], "--bogus"), (["--json", "--bogus=1"], "--bogus"),
                             (["extra"], "extra"), (["--ttl"], "--ttl"),
                             (["--scenario", "all,no-such"], "no-such"),
                             (["--scenario=no-such"], "no-such"),
                             (["--scenario", ""], "--scenario"),
                             (["--json=1"], "--json=1"), (["-x"], "-x")):
            r = demo(top, *words)
            assert r.returncode == 64 and named in r.stderr, (words, r)
        check_values(top, accepted)
        check_help(top)
        for name, argument in options:
            if name == "--help":
                continue
            value = {"NAME": "every", "MODE": "off"}.get(argument, "500")
            r = demo(top, *([name, value] if argument else [name]))
            assert r.returncode == accepted, (name, r)
        for name in [*scenarios, "all", "operators", ",".join(scenarios[:3])]:
            r = demo(top, f"--scenario={name}")
            assert r.returncode == accepted, (name, r)
        assert not os.path.exists(os.path.join(top, "build")), "something was built"


main()
