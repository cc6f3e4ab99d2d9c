"""`ringfence-lab --judge FILE`: a kept history is judged again, without a laboratory."""

import os
import subprocess
import sys
import tempfile

LAB = sys.argv[1]

# name, text, exit status, and what is said
CASES = (
    ("honest", "1 2 0 0 1 write ok 5\n3 4 1 1 1 read ok 5\n", 0,
     "2 operations on 1 keys, 0 with an unknown outcome\nlinearizable\n"),
    ("stale", "1000000 2000000 0 0 1 write ok 5\n3000000 4000000 1 1 1 read ok 0\n", 1,
     "not linearizable: key 1: 0 was seen although 5 had been acknowledged before\n"
     "  from 0.000 to 3.000 ms, client and host:\n"
     "         0.000 ..        1.000    0 east     write 5\n"
     "         2.000 ..        3.000    1 west     read: saw 0\n"
     "1 answers of readers, the oldest 1.0 ms behind"),
    ("both", "1 2 0 0 1 write ok 5\n3 4 0 0 1 append ok 5\n", 1, "not decided: key 1: "),
    ("nonsense", "1 2 0 0 1 write ok 5\n1 2 0 0 1 wrote ok 5\n", 2, "line 2: the kind is none"),
)


def main():
    with tempfile.TemporaryDirectory() as top:
        for name, text, status, said in CASES:
            path = os.path.join(top, name)
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
            r = subprocess.run([LAB, "--judge", path], check=False, capture_output=True,
                               text=True)
            assert r.returncode == status and said in r.stdout + r.stderr, (name, r)
        gone = os.path.join(top, "gone")
        r = subprocess.run([LAB, "--judge", gone], check=False, capture_output=True, text=True)
        assert r.returncode == 2 and gone in r.stderr, r


main()
