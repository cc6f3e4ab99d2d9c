#!/usr/bin/env python3
"""A host that boots, with systemd as its first process: the gate is closed when the server's
unit starts, and where it cannot be closed the server does not start. boot.py TOP AGENT

The host's own / below an overlay, in systemd-nspawn with a network of its own. Debian's unit
of PostgreSQL with the shipped drop-in, and a listener in place of the server, which the unit
itself calls as soon as it is up. Ends with 77 where this machine has no systemd-nspawn, or
where that cannot boot anything here: then it says what it said."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

SKIP, PORT, UNIT = 77, 5432, "postgresql@15-boot.service"
PATIENCE_S = 60

LISTEN = f"""import socket, sys
s = socket.create_server(("0.0.0.0", {PORT}))
while True:
    s.accept()
"""

PROBE = f"""import os, socket, time
open("/probe.asked", "w").close()
begun = time.monotonic()
while True:
    # Who listens is seen by the kernel's table; who answers, by a connection.
    if any(line.split()[1].endswith(":{PORT:04X}") and line.split()[3] == "0A"
           for line in list(open("/proc/net/tcp"))[1:]):
        break
    if time.monotonic() - begun > 20:
        raise SystemExit("nobody listens")
    time.sleep(0.01)
try:
    socket.create_connection(("127.0.0.1", {PORT}), timeout=1).close()
    said = "open"
except OSError:
    said = "closed"
with open("/probe.said", "w") as f:
    f.write(said)
"""

SERVER = """[Unit]
AssertPathExists=
RequiresMountsFor=
[Service]
Type=exec
ExecStart=
ExecStart=/usr/bin/python3 /listen.py
ExecStartPost=/usr/bin/python3 /probe.py
ExecStop=
PIDFile=
TimeoutStartSec=30
"""

TARGET = f"""[Unit]
Wants={UNIT} boot-end.service
AllowIsolate=yes
"""

END = f"""[Unit]
After={UNIT}
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl show -p Result,ActiveState,SubState ringfence-gate.service {UNIT} >/units.said; journalctl -b --no-pager -u ringfence-gate >/journal.said; systemctl exit 0 --force'
"""

CONFIG = """cluster: demo
name: pg-boot
region: east
address: 127.0.0.1
tls: {ca: /ca, cert: /cert, key: /key}
controllers:
  - {name: east, address: "127.0.0.1:7400"}
"""

LINES = f"""ringfence-agent-state 1
cluster demo
agent pg-boot
incarnation {"1" * 96}
group orders 7 0 {PORT} 1
"""
STATE = f"{LINES}sha256 {hashlib.sha256(LINES.encode()).hexdigest()}\n"


def put(root, path, text):
    path = os.path.join(root, path.lstrip("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def read(root, name):
    try:
        with open(os.path.join(root, name)) as f:
            return f.read()
    except FileNotFoundError:
        return ""


AGENT_END = """[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl start ringfence-agent; sleep 3; systemctl show -p Result,ActiveState,SubState ringfence-agent >/units.said; journalctl -b --no-pager -u ringfence-agent >/journal.said; systemctl exit 0 --force'
"""


def furnish_agent(root, top, agent):
    """The shipped unit as it is, a guard, and certificates of a CA of its own."""
    furnish(root, top, agent, STATE, True)
    tools, pki = os.path.dirname(agent), os.path.join(root, "pki")
    shutil.copy(os.path.join(tools, "ringfence-guard"),
                os.path.join(root, "usr/sbin/ringfence-guard"))
    for words in (["init", "--cluster", "demo"], ["issue", "agent", "pg-boot"]):
        subprocess.run([os.path.join(tools, "ringfence"), "pki", words[0], "--dir", pki,
                        *words[1:]], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(top, "deploy/systemd/ringfence-agent.service")) as f:
        put(root, "/etc/systemd/system/ringfence-agent.service", f.read())
    put(root, "/etc/systemd/system/ringfence-agent.service.d/zz-checked.conf",
        "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    put(root, "/etc/ringfence/agent.yaml",
        CONFIG.replace("/ca,", "/pki/ca.crt,").replace("/cert,", "/pki/agent-pg-boot.crt,")
        .replace("/key}", "/pki/agent-pg-boot.key}"))
    put(root, "/etc/systemd/system/boot.target",
        "[Unit]\nWants=boot-end.service\nAllowIsolate=yes\n")
    put(root, "/etc/systemd/system/boot-end.service", AGENT_END)


def check_agent(root, trouble):
    said = read(root, "units.said") + read(root, "journal.said")
    wanted = ("ActiveState=active", "eBPF on", "the guard is started", "works (version")
    print("the agent's unit: " + said.split("\n", maxsplit=1)[0])
    if any(words not in said for words in wanted) or "ermitted" in said or "signal=SYS" in said:
        trouble.append(f"the agent's unit: {said}")


def furnish(root, top, agent, state, gated):
    systemd = os.path.join(top, "deploy/systemd")
    shutil.copy(agent, os.path.join(root, "usr/sbin/ringfence-agent"))
    put(root, "/etc/ringfence/agent.yaml", CONFIG)
    put(root, "/var/lib/ringfence/agent/agent.state", state)
    if gated:
        for name in ("ringfence-gate.service", "postgresql@.service.d/ringfence.conf"):
            with open(os.path.join(systemd, name)) as f:
                put(root, f"/etc/systemd/system/{name}", f.read())
    put(root, f"/etc/systemd/system/{UNIT}.d/zz-listener.conf", SERVER)
    # Of what the unit's filter refuses, the search for leaks alone is missed: it traces.
    put(root, "/etc/systemd/system/ringfence-gate.service.d/zz-checked.conf",
        "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
    put(root, "/etc/systemd/system/boot.target", TARGET)
    put(root, "/etc/systemd/system/boot-end.service", END)
    put(root, "/listen.py", LISTEN)
    put(root, "/probe.py", PROBE)


def hierarchy():
    """Where cgroup v2 is mounted: alone, or beside the older one."""
    with open("/proc/self/mounts") as f:
        return next(line.split()[1] for line in f if line.split()[2] == "cgroup2")


def remove_cgroup(path):
    for name in os.listdir(path):
        if os.path.isdir(os.path.join(path, name)):
            remove_cgroup(os.path.join(path, name))
    os.rmdir(path)


def boot(root):
    """In a cgroup of its own, which is removed: the gate of a host that booted stays on its
    cgroup, and would close the port of the next one, which is to have none."""
    cgroup = os.path.join(hierarchy(), f"rf-boot-{os.getpid()}")
    os.mkdir(cgroup)
    try:
        return boot_in(root, cgroup)
    finally:
        remove_cgroup(cgroup)


def boot_in(root, cgroup):
    def move_in():
        with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    env = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_LOG_LEVEL": "info"}
    return subprocess.run(
        ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
         "--capability=all", "--system-call-filter=bpf", "--console=pipe", "--directory", root,
         "--boot", "systemd.unit=boot.target"],
        env=env, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
        preexec_fn=move_in)


def in_a_host(furnished, booted):
    """Boots what `furnished(root)` has made of this host, and gives `booted(root, done)`."""
    with tempfile.TemporaryDirectory(prefix="rf-boot-", dir="/var/tmp") as place:
        subprocess.run(["mount", "-t", "tmpfs", "rf-boot", place], check=True)
        try:
            upper, work, root = (os.path.join(place, n) for n in ("upper", "work", "root"))
            for path in (upper, work, root):
                os.mkdir(path)
            subprocess.run(["mount", "-t", "overlay", "rf-boot", "-o",
                            f"lowerdir=/,upperdir={upper},workdir={work}", root], check=True)
            try:
                furnished(root)
                return booted(root, boot(root))
            finally:
                subprocess.run(["umount", root], check=False)
        finally:
            subprocess.run(["umount", place], check=False)


def play(top, agent, state, gated):
    """(what the probe said, what the units and the container said)"""
    def booted(root, done):
        said = (f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}\n"
                f"{read(root, 'units.said')}\n{read(root, 'journal.said')}")
        return read(root, "probe.said"), read(root, "units.said") != "", said

    return in_a_host(lambda root: furnish(root, top, agent, state, gated), booted)


def main(top, agent):
    if shutil.which("systemd-nspawn") is None:
        print("no systemd-nspawn here (package systemd-container)")
        return SKIP
    probe, booted, said = play(top, agent, STATE, False)
    if not booted:
        print("systemd-nspawn boots nothing here:\n" + said)
        return SKIP
    trouble = []
    if probe != "open":
        trouble.append(f"without the gate the server is to be reached, but: '{probe}'\n{said}")
    for name, state, expected in (("a port that is remembered", STATE, "closed"),
                                  ("a state that is not understood", "nonsense\n", "")):
        probe, booted, said = play(top, agent, state, True)
        print(f"{name}: '{probe}'")
        if probe != expected or not booted:
            trouble.append(f"{name}: '{probe}', expected '{expected}'\n{said}")
    in_a_host(lambda root: furnish_agent(root, top, agent),
              lambda root, done: check_agent(root, trouble))
    print("\n".join(trouble))
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
