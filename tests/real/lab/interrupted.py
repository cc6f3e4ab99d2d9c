#!/usr/bin/env python3
"""Who presses Ctrl-C is told that the laboratory goes, and it is gone. interrupted.py LAB"""
import os
import re
import signal
import subprocess
import sys

PLACE = "/var/tmp/ringfence-lab"


def interrupt(*command):
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        made = re.match(r"Laboratory (\d+):", running.stdout.readline())
        running.send_signal(signal.SIGINT)
        told, said = running.communicate(timeout=60)
    print(made, running.returncode, said)
    assert made and running.returncode == 130
    assert f"interrupted: removing laboratory {made[1]}\n" in said
    assert said.endswith(f"laboratory {made[1]} is removed\n")
    assert not os.path.exists(os.path.join(PLACE, made[1]))
    return told


def main(lab):
    interrupt(lab)
    # What random runs have shown until then is told all the same.
    told = interrupt(lab, "--random", "--minutes", "1")
    assert "0 runs, 0 of them not ok" in told, told


if __name__ == "__main__":
    main(sys.argv[1])
