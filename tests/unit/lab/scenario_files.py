"""Scenario files: what is wrong is said with file, key and what was expected; every file is
found, every verb has a scenario, and `--list` means what --scenario does."""

import os
import re
import subprocess
import sys
import tempfile

LAB, SOURCE = sys.argv[1:3]
SCENARIOS = os.path.join(SOURCE, "chaos/scenarios")
GOOD = {"story": "x", "holds": "y", "set": "random", "effect": "none", "fault": "[kill east]"}


def lab(*words):
    return subprocess.run([LAB, *words], check=False, capture_output=True, text=True)


def file_says(top, changes, expected, name="mine.yaml", status=2):
    """Loads a file like GOOD, but for what is changed (None: left out)."""
    lines = {**GOOD, **changes}
    path = os.path.join(top, name)
    with open(path, "w", encoding="ascii") as out:
        out.writelines(f"{k}: {v}\n" for k, v in lines.items() if v is not None)
    r = lab("--list", "--file", path)
    assert r.returncode == status, (changes, r)
    said = r.stdout + r.stderr
    assert expected in said and (status == 0 or name in said), (changes, said)


def wrong_steps():
    return (("kil east", "no such verb"), ("kill", "expected a place"),
            ("kill nowhere", "expected a place"), ("kill agent", "expected a place"),
            ("kill east west", "expected the end of the line"),
            ("wait 5", "expected a time"), ("wait 601s", "expected a time"),
            ("wait 101ttl", "expected a time"), ("wait -1s", "expected a time"),
            ("until then", "expected a moment"), ("flap east west 0", "expected a number"),
            ("link east west", "rules of a link"), ("link east west loss", "rules of a link"),
            ("link east west loss 101%", "rules of a link"),
            ("link east west delay 1ms jitter 2ms", "rules of a link"),
            ("link east west speed 3%", "rules of a link"), ("sh east", "expected some text"),
            ("disk-full east", "expected server, controller, agent or tails"),
            ("disk-full tails", "expected east, west"), ("clock-ahead east", "a number"))


def test_wrong_files():
    with tempfile.TemporaryDirectory() as top:
        file_says(top, {}, "mine", status=0)
        for step, expected in wrong_steps():
            file_says(top, {"fault": f"[kill east, '{step}']"}, expected)
            file_says(top, {"fault": f"[kill east, '{step}']"}, "fault[1]")
            file_says(top, {"heal": f"['{step}']"}, "heal[0]")
        for key in GOOD:
            file_says(top, {key: None}, key)
        file_says(top, {"holdz": "z"}, "holdz")
        file_says(top, {"set": "none-such"}, "set: 'none-such'")
        file_says(top, {"effect": "fireworks"}, "effect")
        file_says(top, {"lab": "{sync: maybe}"}, "lab.sync")
        file_says(top, {"lab": "{clocks: odd}"}, "clocks")
        file_says(top, {"lab": "{disks: true, names: true}"}, "do not go together")
        file_says(top, {"fault": "[]"}, "fault")
        file_says(top, {}, "small letters", name="Mine.yaml")
        file_says(top, {}, "NAME.yaml", name="mine.yml")
        file_says(top, {}, "already", name="region-loss.yaml")
        r = lab("--list", "--file", os.path.join(top, "absent.yaml"))
        assert r.returncode == 2 and "absent.yaml" in r.stderr, r


# A file with `each` is several scenarios, and is called as well as each of them.
def test_each():
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, "mine.yaml")
        for each, step, names in (("[a, b-c]", "sh east echo {each}", ["mine-a", "mine-b-c"]),
                                  ("[east]", "kill {each}", ["mine-east"])):
            with open(path, "w", encoding="ascii") as out:
                out.writelines(f"{k}: {v}\n" for k, v in GOOD.items() if k != "fault")
                out.write(f"each: {each}\nfault: ['{step}']\n")
            r = lab("--list", "--file", path)
            assert r.returncode == 0 and r.stdout.split() == names, r
        file_says(top, {"each": "[nowhere]", "fault": "['kill {each}']"}, "expected a place")
        file_says(top, {"fault": "['kill {each}']"}, "expected a place")


def listed(what):
    r = lab("--list", "--scenario", what)
    assert r.returncode == 0, r
    return r.stdout.split()


def read(name):
    with open(os.path.join(SCENARIOS, name), encoding="ascii") as f:
        return f.read()


def each_of(text):
    found = re.search(r"^each: \[(.*)\]$", text, re.M)
    return found.group(1).split(", ") if found else []


def names_of(file):
    return [f"{file[:-5]}-{e}" for e in each_of(read(file))] or [file[:-5]]


def test_every_file_is_found():
    names = sorted(n for f in os.listdir(SCENARIOS) for n in names_of(f))
    assert sorted(listed("every")) == names and len(names) >= 26, names
    assert set(listed("all")) < set(names)
    assert listed("region-loss,power")[0] == "region-loss"
    assert lab("--list", "--scenario", "no-such").returncode == 64


def test_every_verb_has_a_scenario():
    verbs = re.findall(r"^  ([a-z-]+) ", lab("--verbs").stdout.split("Moments:")[0], re.M)
    used = set()
    for name in os.listdir(SCENARIOS):
        used |= set(re.findall(r'^  - "?([a-z-]+)', read(name), re.M))
    assert len(verbs) > 25 and not set(verbs) - used, set(verbs) - used


# `chaos/run --all` plays some sets alone, the others beside each other: each of them once.
def test_all_has_every_set():
    with open(os.path.join(SOURCE, "chaos/run"), encoding="utf-8") as f:
        played = re.findall(r"^(?:alone|beside)=([a-z,]+)$", f.read(), re.M)
    names = [n for sets in played for n in listed(sets)]
    assert len(played) == 2 and sorted(names) == sorted(listed("every")), played


# The leader is killed at each rule that the table of the product has.
def test_every_rule_is_a_step():
    with open(os.path.join(SOURCE, "docs/architecture.md"), encoding="utf-8") as f:
        table = f.read().split("generated:rules -->")[1]
    rules = set(re.findall(r"^\| `([a-z-]+)`", table, re.M))
    killed = set()
    for file in os.listdir(SCENARIOS):
        text = read(file)
        if re.search(r"^  - when \{each\}\n  - kill controller leader$", text, re.M):
            killed |= set(each_of(text))
    assert len(rules) > 30 and killed == rules, killed ^ rules


test_wrong_files()
test_each()
test_every_rule_is_a_step()
test_all_has_every_set()
test_every_file_is_found()
test_every_verb_has_a_scenario()
