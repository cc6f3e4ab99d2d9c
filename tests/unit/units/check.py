#!/usr/bin/env python3
"""The shipped systemd units: systemd takes them, no directory that it hands to the user of
one unit holds what belongs to somebody else, and servers are ordered behind the closed gate.
check.py TOP CONTROLLER AGENT

systemd.exec(5): where the owner of a RuntimeDirectory or StateDirectory is not the unit's
user, it is changed *recursively* at each start. So a directory that two units share, or that
holds the server's socket_dir or tail_dir, takes the running server's socket away from it."""
import os
import re
import subprocess
import sys
import tempfile

ROOTS = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib",
         "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log"}


def managed(unit):
    """The directories whose owner systemd sets for this unit: the innermost of each path."""
    out = []
    for key, root in ROOTS.items():
        for words in re.findall(rf"^{key}=(.*)$", unit, re.M):
            out += [f"{root}/{word.split(':')[0]}" for word in words.split()]
    return out


def inside(path, directory):
    return path == directory or path.startswith(directory + "/")


def verify(name, unit, binary, trouble):
    """With the program that was built in place of the one that is not installed here."""
    with tempfile.TemporaryDirectory(prefix="rf-units-") as place:
        path = os.path.join(place, name)
        with open(path, "w") as f:
            f.write(re.sub(r"^ExecStart=\S+", f"ExecStart={binary}", unit, flags=re.M))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                              capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if name in line]
    if done.returncode != 0 or said:
        trouble.append(f"{name}: systemd-analyze verify: {done.returncode} {done.stderr}")


def words(unit, key):
    return [word for line in re.findall(rf"^{key}=(.*)$", unit, re.M) for word in line.split()]


def check_gate(systemd, agent, trouble):
    """A server waits for the gate, and does without it only where nobody is told of it; the
    agent's own start and end are no concern of the server's."""
    gate, dropin = "ringfence-gate.service", "postgresql@.service.d/ringfence.conf"
    with open(os.path.join(systemd, gate)) as f:
        unit = f.read()
    with open(os.path.join(systemd, dropin)) as f:
        server = f.read()
    with open(os.path.join(systemd, "ringfence-agent.service")) as f:
        taker = f.read()
    for key, value in (("Before", "network-pre.target"), ("Before", "ringfence-agent.service"),
                       ("DefaultDependencies", "no"), ("RemainAfterExit", "yes"),
                       ("Type", "oneshot")):
        if value not in words(unit, key):
            trouble.append(f"{gate}: {key}= is without {value}")
    for key in ("Requires", "After"):
        if words(server, key) != [gate]:
            trouble.append(f"{dropin}: {key}= is not {gate} alone")
    if gate not in words(taker, "After") or gate not in words(taker, "Wants"):
        trouble.append("ringfence-agent.service: is not ordered behind the gate")
    with tempfile.TemporaryDirectory(prefix="rf-units-") as place:
        os.mkdir(os.path.join(place, os.path.dirname(dropin)))
        for name, text in ((gate, re.sub(r"^ExecStart=\S+", f"ExecStart={agent}", unit,
                                         flags=re.M)),
                           (dropin, server),
                           ("postgresql@.service",
                            "[Unit]\nAfter=network.target\n[Service]\nExecStart=/bin/true\n")):
            with open(os.path.join(place, name), "w") as f:
                f.write(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                               os.path.join(place, "postgresql@15-main.service")],
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{place}:"})
    said = [line for line in done.stderr.splitlines()
            if "ringfence" in line or "postgresql" in line]
    if done.returncode != 0 or said:
        trouble.append(f"{dropin}: systemd-analyze verify: {done.returncode} {done.stderr}")


def main(top, controller, agent):
    trouble, dirs = [], {}
    binaries = {"ringfenced.service": controller, "ringfence-agent.service": agent,
                "ringfence-gate.service": agent}
    for name, binary in binaries.items():
        with open(os.path.join(top, "deploy/systemd", name)) as f:
            unit = f.read()
        dirs[name] = managed(unit)
        if not dirs[name]:
            trouble.append(f"{name}: no directory found: is it still read rightly?")
        verify(name, unit, binary, trouble)
    check_gate(os.path.join(top, "deploy/systemd"), agent, trouble)
    for a in dirs["ringfenced.service"]:
        for b in dirs["ringfence-agent.service"]:
            if inside(a, b) or inside(b, a):
                trouble.append(f"both units manage {a} and {b}: the later start takes it")
    with open(os.path.join(top, "deploy/examples/agent.yaml")) as f:
        example = f.read()
    with open(os.path.join(top, "fencing/agent/agent_settings.c")) as f:
        source = f.read()
    shown = re.search(r"^socket:\s*(\S+)", example, re.M).group(1)
    socket = re.search(r's->socket, "([^"]+)"|s->socket,\s*sizeof s->socket, "([^"]+)"',
                       source)
    socket = next(filter(None, socket.groups()))
    if shown != socket:
        trouble.append(f"socket: the example says {shown}, the default is {socket}")
    if not any(inside(socket, p) for p in dirs["ringfence-agent.service"]):
        trouble.append(f"socket {socket}: lies in no directory of the agent's own unit")
    trouble += [f"socket {socket} is root's, but lies in {p}, where the controller's user may "
                f"write" for p in dirs["ringfenced.service"] if inside(socket, p)]
    for key in ("socket_dir", "tail_dir"):
        shown = re.search(rf"^\s*{key}:\s*(\S+)", example, re.M).group(1)
        default = re.search(rf'\.{key} = "([^"]+)"', source).group(1)
        if shown != default:
            trouble.append(f"{key}: the example says {shown}, the default is {default}")
        for name, paths in dirs.items():
            trouble += [f"{key} {default} belongs to the server's user, but lies in {p} of "
                        f"{name}" for p in paths if inside(default, p)]
    print("\n".join(trouble))
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
