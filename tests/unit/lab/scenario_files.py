"""Scenario files: what is wrong is said with file, key and what was expected; every file is
found, every verb has a scenario, and `--list` means what --scenario does."""

import os
import re
import subprocess
import sys
import tempfile

LAB, SOURCE = sys.argv[1:3]
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
            ("link east west speed 3%", "rules of a link"), ("sh east", "expected some text"))


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
        file_says(top, {"fault": "[]"}, "fault")
        file_says(top, {}, "small letters", name="Mine.yaml")
        file_says(top, {}, "NAME.yaml", name="mine.yml")
        file_says(top, {}, "already", name="region-loss.yaml")
        r = lab("--list", "--file", os.path.join(top, "absent.yaml"))
        assert r.returncode == 2 and "absent.yaml" in r.stderr, r


def listed(what):
    r = lab("--list", "--scenario", what)
    assert r.returncode == 0, r
    return r.stdout.split()


def test_every_file_is_found():
    names = sorted(f[:-5] for f in os.listdir(os.path.join(SOURCE, "chaos/scenarios")))
    assert sorted(listed("every")) == names and len(names) >= 26, names
    assert set(listed("all")) < set(names)
    assert listed("region-loss,power")[0] == "region-loss"
    assert lab("--list", "--scenario", "no-such").returncode == 64


def test_every_verb_has_a_scenario():
    verbs = re.findall(r"^  ([a-z-]+) ", lab("--verbs").stdout.split("Moments:")[0], re.M)
    used = set()
    for name in listed("every"):
        path = os.path.join(SOURCE, "chaos/scenarios", f"{name}.yaml")
        with open(path, encoding="ascii") as f:
            used |= set(re.findall(r'^  - "?([a-z-]+)', f.read(), re.M))
    assert len(verbs) > 25 and not set(verbs) - used, set(verbs) - used


test_wrong_files()
test_every_file_is_found()
test_every_verb_has_a_scenario()
