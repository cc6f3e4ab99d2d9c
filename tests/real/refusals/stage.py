"""What the table's lines with = and ! do, and what the cluster looks like from its sockets."""
import http.client
import json
import os
import re
import socket
import subprocess
import time

PATIENCE_S = 40
STEP_S = 30  # of RFC 6238
ACTIVE = "east"  # the controller of the region that the table leaves active


class WentWrong(Exception):
    pass


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("ringfenced", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Who:
    place = bearer = cert = code = None
    socket = False


class User:
    token = secret = None
    step = 0        # of the code that was used last
    code = None
    recovery = ()
    last_recovery = None


def merge(into, patch):
    """RFC 7396."""
    if not isinstance(patch, dict) or not isinstance(into, dict):
        return patch
    out = dict(into)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


class Stage:
    def __init__(self):
        with open("hall.json", encoding="utf-8") as f:
            self.controllers = json.load(f)["controllers"]
        self.orders, self.answers = os.fdopen(3, "w"), os.fdopen(4, "r")
        self.killed = None
        self.users, self.kept, self.gates = {}, {}, {}
        self.unclaimed = []
        self.leader = None
        self.find_leader()
        self.seq = self.last_seq()

    # ---- by the sockets, as root -----------------------------------------------------

    def ask(self, place, method, path, body=None):
        c = Unix(place + ".sock")
        try:
            c.request(method, path, None if body is None else json.dumps(body),
                      {"Content-Type": "application/json"} if body is not None else {})
            answer = c.getresponse()
            return answer.status, answer.read().decode()
        finally:
            c.close()

    def root(self, method, path, body=None):
        status, text = self.ask(self.leader, method, path, body)
        if status != 200:
            raise WentWrong(f"{method} {path}: {status} {text}")
        return json.loads(text)

    def running(self):
        return [n for n in self.controllers if n != self.killed]

    def find_leader(self):
        """The one that all who run name, and that keeps leading: out of the active region the
        lead goes by itself, a while after it came there (lead-from-quiet-region)."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            said = set()
            for name in self.running():
                try:
                    status, text = self.ask(name, "GET", "/api/v1/status")
                    said.add(json.loads(text).get("leader") if status == 200 else None)
                except (OSError, ValueError, http.client.HTTPException):
                    said.add(None)
            if len(said) == 1 and said <= set(self.running()) - {ACTIVE}:
                self.leader = said.pop()
                return
            time.sleep(0.1)
        raise WentWrong("nobody leads")

    def follower(self):
        return next(n for n in self.running() if n != self.leader)

    # ---- what must not change --------------------------------------------------------

    def state(self):
        status = self.root("GET", "/api/v1/status")
        keys = ("name", "phase", "epoch", "active", "active_region", "sync", "sync_set", "paused",
                "alarm", "failovers", "switchovers", "run", "ttl_ms")
        groups = [{k: g.get(k) for k in keys} for g in status["groups"]]
        documents = [self.root("GET", "/api/v1/groups/" + g["name"]) for g in groups]
        proposals = [{k: p[k] for k in ("id", "state", "approvals", "outcome")}
                     for p in self.root("GET", "/api/v1/proposals")["proposals"]]
        users = [{k: u[k] for k in ("name", "roles", "groups", "tokens", "totp")}
                 for u in self.root("GET", "/api/v1/users")["users"]]
        controllers = [(c["name"], c["id"]) for c in status["controllers"]]
        return {"groups": groups, "documents": documents, "proposals": proposals, "users": users,
                "controllers": controllers}

    def differs(self, before):
        now = self.state()
        for key, was in before.items():
            if now[key] != was:
                return f"{key} were {json.dumps(was)[:300]} and are {json.dumps(now[key])[:300]}"
        return ""

    # ---- the trail -------------------------------------------------------------------

    def log(self, after, limit=1000):
        status, text = self.ask(self.leader, "GET", f"/api/v1/log?after={after}&limit={limit}")
        if status != 200:
            raise WentWrong(f"log: {status} {text}")
        return [json.loads(x) for x in text.splitlines()]

    def last_seq(self):
        seq = 0
        while True:
            lines = self.log(seq)
            if not lines:
                return seq
            seq = lines[-1]["seq"]

    def new_entries(self):
        """All that nobody has claimed yet."""
        for line in self.log(self.seq):
            self.seq = line["seq"]
            self.unclaimed.append(line)
        return list(self.unclaimed)

    # ---- who -------------------------------------------------------------------------

    def totp(self, user, step):
        out = subprocess.run(["oathtool", "--totp", "-b", "-N", f"@{step * STEP_S}", user.secret],
                             capture_output=True, text=True, check=True)
        return out.stdout.strip()

    def factor(self, user, word):
        if word == "totp":
            step = max(int(time.time() / STEP_S), user.step + 1)
            while step > int(time.time() / STEP_S) + 1:
                time.sleep(0.5)
            user.step, user.code = step, self.totp(user, step)
            return user.code
        if word == "recovery":
            user.last_recovery = user.recovery.pop(0)
            return user.last_recovery
        return {"same code": user.code, "same recovery": user.last_recovery,
                "wrong code": "000000"}[word]

    def who(self, cell):
        words = [w.strip() for w in cell.split(",")]
        who, name = Who(), words[0]
        who.place = self.leader
        kind, colon, what = name.partition(":")
        if name == "root":
            who.socket = True
        elif colon and kind == "jwt":
            with open(f"jwt/{what}.jwt", encoding="ascii") as f:
                who.bearer = f.read()
        elif colon and kind == "cert":
            who.cert = what if "/" in what else "pki/" + what
        elif colon and kind == "token":
            who.bearer = what
        elif name != "nobody":
            who.bearer = self.users[name].token
        for word in words[1:]:
            if word == "at follower":
                who.place = self.follower()
            elif word.startswith("at "):
                who.place = word[3:]
            elif word.startswith("beside:"):
                who.cert = "pki/" + word[7:]
            else:
                who.code = self.factor(self.users[name], word)
        return who

    # ---- what is sent ----------------------------------------------------------------

    def fill(self, text):
        def value(match):
            kept, member = self.kept[match[1]], match[2]
            return str(kept["proposal"][member[1:]] if member else kept["index"])
        return re.sub(r"\$(\w+)(\.\w+)?", value, text)

    def body(self, text):
        if text == "@big":
            return "x" * 3000000
        if text.startswith("@group"):
            return json.dumps(merge(self.root("GET", "/api/v1/groups/orders"),
                                    json.loads(self.fill(text[6:]))))
        return self.fill(text)

    # ---- lines with ! ----------------------------------------------------------------

    def carry_out(self, words):
        """True: somebody else leads since."""
        verb = getattr(self, "do_" + words[0])
        return verb(words[1] if len(words) > 1 else "")

    def hall(self, line):
        self.orders.write(line + "\n")
        self.orders.flush()
        if self.answers.readline().strip() != "ok":
            raise WentWrong(f"the hall did not: {line}")

    def do_user(self, rest):
        """user NAME ROLE[,ROLE] [of GROUP[,GROUP]] [factor]: with a token."""
        words = rest.split()
        name, body = words[0], {"name": words[0], "roles": words[1].split(",")}
        if "of" in words:
            body["groups"] = words[words.index("of") + 1].split(",")
        self.root("POST", "/api/v1/users", body)
        user = self.users[name] = User()
        user.token = self.root("POST", f"/api/v1/users/{name}/token", {})["token"]
        if "factor" in words:
            made = self.root("POST", f"/api/v1/users/{name}/totp", {})
            user.secret = re.search(r"secret=([A-Z2-7]+)", made["uri"])[1]
            user.recovery = made["recovery"]

    def do_revoke(self, name):
        self.root("POST", f"/api/v1/users/{name}/revoke", {"id": 0})

    def do_remove(self, name):
        self.root("DELETE", f"/api/v1/users/{name}")

    def do_group(self, patch):
        self.root("POST", "/api/v1/groups", json.loads(self.body("@group " + patch)))

    def do_silence(self, agent):
        """Its gate is not known then, or closed when its lease is over."""
        was = self.gates[agent] = self.gate_of(agent)
        self.hall("silence " + agent)
        self.until(lambda: self.gate_of(agent) != was, f"{agent} is silent")

    def do_wake(self, agent):
        self.hall("wake " + agent)
        self.until(lambda: self.gate_of(agent) == self.gates[agent], f"{agent} is heard again")

    def gate_of(self, agent):
        for i in self.root("GET", "/api/v1/status")["groups"][0]["instances"]:
            if i["name"] == agent:
                return i["gate"]
        raise WentWrong(f"there is no {agent}")

    def do_until(self, rest):
        """until PROPOSAL STATE: one that was kept."""
        name, state = rest.split()
        wanted = int(self.fill(name))

        def is_so():
            return any(p["id"] == wanted and p["state"] == state
                       for p in self.root("GET", "/api/v1/proposals")["proposals"])
        self.until(is_so, rest)

    def do_wrong(self, rest):
        """wrong USER N: so many wrong codes."""
        name, n = rest.split()
        for _ in range(int(n)):
            out = subprocess.run(
                ["curl", "-sS", "-k", "-m", "20", "-X", "POST", "-H",
                 "Authorization: Bearer " + self.users[name].token, "-H",
                 "X-Ringfence-TOTP: 000000", "-H", "Content-Type: application/json", "-d", "{}",
                 f"https://127.0.0.1:{self.controllers[self.leader]['api']}"
                 "/api/v1/groups/orders/detach"],
                capture_output=True, text=True, check=True).stdout
            if json.loads(out).get("code") != "wrong-code":
                raise WentWrong(f"a wrong code: {out}")

    def do_kill(self, _leader):
        self.killed = self.leader
        self.hall("kill " + self.killed)
        self.find_leader()
        return True

    def do_start(self, _killed):
        name, self.killed = self.killed, None
        self.hall("start " + name)
        self.find_leader()

    def until(self, is_so, what):
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > until:
                raise WentWrong(f"not within {PATIENCE_S} s: {what}")
            time.sleep(0.05)
