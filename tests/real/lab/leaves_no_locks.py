#!/usr/bin/env python3
"""A laboratory takes its gates' lock files along when it goes. leaves_no_locks.py LAB

Each laboratory has cgroups of its own, so lock files in the host's directory, named after
them, would only ever become more."""
import json
import os
import subprocess
import sys

PLACE = "/run/ringfence-agent"  # where an agent's locks are unless gate.run_dir says else


def locks():
    return set(os.listdir(PLACE)) if os.path.isdir(PLACE) else set()


def main(lab):
    before = locks()
    done = subprocess.run([lab, "--scenario", "switchover", "--json"], capture_output=True,
                          text=True, timeout=240)
    if done.returncode != 0 or not json.loads(done.stdout.splitlines()[0])["ok"]:
        print(done.stdout, done.stderr)
        return 1
    left = sorted(locks() - before)
    print(f"left behind in {PLACE}: {left}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
