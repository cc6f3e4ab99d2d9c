#!/usr/bin/env python3
"""Plays a table of refusals against the cluster of hall.c, in whose directory it runs.

    play.py TABLE VERDICT

Says a line for each row on descriptor 5, if that is open, and writes the last line to the
file VERDICT. Exit status: 0 all as the table says, nothing let in, and at least ROWS_MIN rows;
1 a row was let in or refused in another way; 2 there are fewer rows; 70 what the table asks
for besides (a line with = or !) did not work.

The table (tests/real/refusals/table): lines of

    name | who | what is sent | status | code | in the trail

  who     nobody, root (by the socket), USER (its token), token:WORD, cert:STEM, jwt:NAME; then,
          behind commas: a second factor (totp, recovery: one not used yet; same code, same
          recovery: the one used last; wrong code), beside:STEM (a certificate as well), and
          `at follower` or `at CONTROLLER` (else the leader is asked)
  sent    METHOD PATH [BODY]; `@group {..}` as the body is the group's document with that merged
          in, `@big` three megabytes; $NAME is what was kept. In front: plain (no TLS),
          form (another Content-Type), long (a header of 60,000 bytes), basic (a password),
          tls-max=1.2.
          Or: s_client ARGUMENTS; hello controller|agent NAME (to the nodes' port)
  status  of HTTP; - where no answer comes at all. Then `code` is what the client says of it
  code    of the problem; -: the answer is libmicrohttpd's own, which is none
  trail   ACTOR: CODE, an entry `refused`; ACTOR: factor-failed; or -, nothing

and besides

    = [NAME <-] who | what is sent       has to be let in; kept as $NAME
    ! VERB WORDS                          see class Stage
"""
import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bounds import Pace  # noqa: E402
from stage import Stage, WentWrong  # noqa: E402

ROWS_MIN = 50
ENTRY_S = 10  # an entry is applied within that, on a busy machine too


class Row:
    def __init__(self, line):
        cells = [c.strip() for c in line.split("|")]
        if len(cells) != 6:
            raise WentWrong(f"not six cells: {line}")
        self.name, self.who, self.sent, self.status, self.code, self.trail = cells


class Answer:
    """status 0: none; then `text` is what the client said."""

    def __init__(self, status, text, kind=""):
        self.status, self.text, self.kind = status, text, kind
        self.let_in = 200 <= status < 400
        try:
            self.json = json.loads(text)
        except ValueError:
            self.json = None


def curl(stage, who, sent):
    flags, method, path, body = sent
    port = stage.controllers[who.place]["api"]
    scheme = "http" if "plain" in flags else "https"
    args = ["curl", "-sS", "-k", "-m", "20", "--path-as-is", "-o", "body", "-X", method,
            "-w", "%{http_code} %{content_type}"]
    for flag in flags:
        if flag.startswith("tls-max="):
            args += ["--tls-max", flag[8:]]
    if "long" in flags:
        args += ["-H", "X-Long: " + "a" * 60000]
    if "basic" in flags:
        args += ["-u", "olga:secret"]
    if body is not None:
        with open("sent", "w", encoding="utf-8") as f:
            f.write(body)
        args += ["--data-binary", "@sent", "-H", "Content-Type: " +
                 ("application/x-www-form-urlencoded" if "form" in flags else "application/json")]
    if who.cert:
        args += ["--cert", who.cert + ".crt", "--key", who.cert + ".key"]
    if who.bearer:
        args += ["-H", "Authorization: Bearer " + who.bearer]
    if who.code:
        args += ["-H", "X-Ringfence-TOTP: " + who.code]
    if who.socket:
        args += ["--unix-socket", who.place + ".sock", "http://ringfenced" + path]
    else:
        args += [f"{scheme}://127.0.0.1:{port}{path}"]
    if os.path.exists("body"):
        os.unlink("body")
    ran = subprocess.run(args, capture_output=True, text=True, check=False)
    words = ran.stdout.split()
    status = int(words[0]) if words and words[0].isdigit() else 0
    if status == 0:
        return Answer(0, ran.stderr.strip())
    text = open("body", encoding="utf-8", errors="replace").read() if os.path.exists("body") else ""
    return Answer(status, text, words[1].rstrip(";") if len(words) > 1 else "")


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def hello_frames(role, name):
    """The preface of a stream and a hello, as proto/wire.proto has them."""
    life = b"".join(field(i, bytes([7] * 16)) for i in (1, 2, 3))
    kind, values = {
        "controller": (1, {1: "lab", 2: name, 3: 1, 4: "0.1.0", 5: 1, 6: 2, 9: name}),
        "agent": (20, {1: "lab", 2: name, 3: "east", 4: "127.0.0.1", 5: "0.1.0", 6: 1, 7: 2,
                       8: life}),
    }[role]
    frame = field(kind, b"".join(field(n, v) for n, v in values.items()))
    return b"\0\0\0\4RF\1\0" + len(frame).to_bytes(4, "big") + frame


def s_client(stage, who, arguments, data=b"", port="api"):
    at = f"127.0.0.1:{stage.controllers[who.place][port]}"
    args = ["openssl", "s_client", "-connect", at, *arguments]
    if who.cert:
        args += ["-cert", who.cert + ".crt", "-key", who.cert + ".key"]
    p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    try:
        p.stdin.write(data)
        p.stdin.flush()
        if data:
            time.sleep(1)
        out = p.communicate(timeout=20)[0]
    except BrokenPipeError:
        out = p.communicate(timeout=20)[0]
    return Answer(0, out.decode(errors="replace").replace("\0", "."))


def send(stage, who, sent):
    words = sent.split(None, 1)
    if words[0] == "s_client":
        return s_client(stage, who, shlex.split(words[1]))
    if words[0] == "hello":
        role, name = words[1].split()
        return s_client(stage, who, ["-quiet"], hello_frames(role, name), "nodes")
    flags = []
    while words[0] in ("plain", "form", "long", "basic") or words[0].startswith("tls-max="):
        flags.append(words[0])
        words = words[1].split(None, 1)
    method = words[0]
    path, _, body = words[1].partition(" ")
    return curl(stage, who, (flags, stage.fill(method), stage.fill(path),
                             stage.body(body.strip()) if body else None))


def problem_of(answer):
    """What is not as RFC 9457 and we have it; empty: nothing."""
    p = answer.json
    if not isinstance(p, dict) or answer.kind != "application/problem+json":
        return f"no problem: {answer.kind} {answer.text[:200]}"
    urn = f"urn:ringfence:problem:{p.get('code')}"
    if p.get("status") != answer.status or p.get("type") != urn:
        return f"status or type do not fit: {answer.text[:200]}"
    if not re.search(r"\w+\W+\w+", p.get("detail", "")) or not p.get("title"):
        return f"no sentence for people: {answer.text[:200]}"
    return ""


class Play:
    def __init__(self, stage, out):
        self.stage, self.out = stage, out
        self.pace = Pace()
        # The hall has waited for bob's certificate to be refused, by each controller.
        for _ in stage.controllers:
            self.pace.note("somebody (anonymous): certificate-revoked")
        self.refused = self.let_in = self.wrong = 0

    def say(self, text):
        self.out.write(text + "\n")
        self.out.flush()

    def entry_of(self, row, place):
        """Waits for the row's own entry: "" or what is wrong."""
        actor, _, code = row.trail.rpartition(": ")
        until = time.monotonic() + ENTRY_S
        while True:
            lines = self.stage.new_entries()
            for line in lines:
                who, _, where = line["actor"].rpartition(" from ")
                is_it = line["kind"] == code or code in (line["result"],)
                if is_it and who == actor and (where.startswith("127.0.0.1:") or where == place):
                    self.stage.unclaimed.remove(line)
                    return ""
            if time.monotonic() > until:
                told = [f"{x['kind']} {x['result']} [{x['actor']}]" for x in self.stage.unclaimed]
                return f"no entry {row.trail!r} in the trail, but {told}"
            time.sleep(0.05)

    def strays(self):
        self.stage.new_entries()
        found = [f"{x['result']} [{x['actor']}] {x['text'][:80]}" for x in self.stage.unclaimed
                 if x["kind"] == "refused"]
        self.stage.unclaimed.clear()
        return f"an entry that nobody expects: {found}" if found else ""

    def look(self, row, answer, place):
        """What is not as the table says."""
        if row.status == "-":
            if answer.status != 0 or not re.search(row.code, answer.text):
                return f"{answer.status}, and not {row.code!r}: {answer.text[-300:]}"
        else:
            p = answer.json if isinstance(answer.json, dict) else {}
            if str(answer.status) != row.status or p.get("code", "-") != row.code:
                return f"{answer.status} {p.get('code')}: {answer.text[:300]}"
            wrong = problem_of(answer) if row.code != "-" else ""
            if wrong:
                return wrong
        if row.trail != "-":
            wrong = self.entry_of(row, place)
            if wrong:
                return wrong
        return self.strays()

    def row(self, line):
        row = Row(line)
        who = self.stage.who(row.who)
        self.stage.new_entries()
        self.stage.unclaimed.clear()
        self.pace.wait(row.trail)
        before = self.stage.state()
        answer = send(self.stage, who, row.sent)
        wrong = self.look(row, answer, who.place)
        self.pace.note(row.trail)
        changed = self.stage.differs(before)
        if answer.let_in or changed:
            self.let_in += 1
            wrong = f"LET IN: {changed or answer.text[:200]}"
        else:
            self.refused += 1
        if wrong:
            self.wrong += 1
            self.say(f"NOT AS EXPECTED: {row.name}: {wrong}")
        else:
            detail = answer.json["detail"] if answer.json else row.code
            self.say(f"ok: {row.name}: {row.status} {detail[:100]}")

    def granted(self, line):
        name, arrow, rest = line.partition("<-")
        who, _, sent = (rest if arrow else line).partition("|")
        by = self.stage.who(who.strip())
        answer = send(self.stage, by, sent.strip())
        if not answer.let_in:
            raise WentWrong(f"should be let in: {line}: {answer.status} {answer.text[:300]}")
        if arrow:
            self.stage.kept[name.strip()] = answer.json

    def line(self, line):
        if line[0] == "=":
            self.granted(line[1:].strip())
        elif line[0] == "!":
            if self.stage.carry_out(line[1:].split(None, 1)):
                self.pace.another_leader()
        else:
            self.row(line)

    def verdict(self):
        if self.let_in or self.wrong:
            return 1
        return 0 if self.refused >= ROWS_MIN else 2


def main(table, verdict):
    try:
        out = os.fdopen(5, "w", encoding="utf-8")
    except OSError:
        out = sys.stdout
    with open(table, encoding="utf-8") as f:
        lines = [x.strip() for x in f if x.strip() and not x.startswith("#")]
    play = Play(Stage(), out)
    began = time.monotonic()
    for line in lines:
        try:
            play.line(line)
        except (WentWrong, OSError, http.client.HTTPException, KeyError, ValueError) as e:
            play.say(f"the play cannot go on at {line!r}: {type(e).__name__}: {e}")
            return 70
    play.say(f"{time.monotonic() - began:.0f} s; {play.wrong} not as the table says")
    with open(verdict, "w", encoding="utf-8") as f:
        f.write(f"{play.refused} refused, {play.let_in} let in\n")
    return play.verdict()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
