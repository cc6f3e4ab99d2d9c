#!/usr/bin/env python3
"""A laboratory takes its gates' lock files along when it goes, and leaves a page of what was
seen. leaves_no_locks.py LAB

Each laboratory has cgroups of its own, so lock files in the host's directory, named after
them, would only ever become more."""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

PLACE = "/run/ringfence-agent"  # where an agent's locks are unless gate.run_dir says else


def locks():
    return set(os.listdir(PLACE)) if os.path.isdir(PLACE) else set()


def missing(page):
    """What the page of a switchover lacks, by lane and how it begins."""
    rows = [["".join(c.itertext()) for c in row]
            for row in ET.parse(page).findall(".//tbody/tr")]
    wanted = [("east: gate", "open"), ("east: gate", "closed"), ("west: gate", "replication"),
              ("west: gate", "open"), ("east: lease", "held"), ("west: lease", "held"),
              ("east: writes", ""), ("west: writes", ""), ("leader", ""), ("phase", "steady"),
              ("run", "switchover"), ("log", "fence-begin"), ("log", "opened"), ("outage", "")]
    said = [("epoch", str(n) + " " + s) for n, s in ((1, "east"), (2, "west"))]
    return [w for w in wanted + said
            if not any(r[3] == w[0] and r[4].startswith(w[1]) for r in rows)]


def judged(history):
    """The epochs that the log opened, as the judge was told them."""
    with open(history, encoding="ascii") as lines:
        return [line.split()[3:] for line in lines if line.split()[1] == "opened"]


def main(lab):
    with tempfile.TemporaryDirectory() as logs:
        return check(lab, logs)


def check(lab, logs):
    before = locks()
    done = subprocess.run([lab, "--scenario", "switchover", "--json", "--logs", logs],
                          capture_output=True, text=True, timeout=240)
    if done.returncode != 0 or not json.loads(done.stdout.splitlines()[0])["ok"]:
        print(done.stdout, done.stderr)
        return 1
    left = sorted(locks() - before)
    lacks = missing(os.path.join(logs, "01-switchover", "switchover.html"))
    opened = judged(os.path.join(logs, "01-switchover", "switchover.history"))
    print(f"left behind in {PLACE}: {left}; not on the page: {lacks}; opened: {opened}")
    # Who was opened, and in which epoch: east, then west.
    return 1 if left or lacks or opened != [["0", "1"], ["1", "2"]] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
