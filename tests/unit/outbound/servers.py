#!/usr/bin/env python3
"""Somebody else's server for tests: servers.py KIND DIR PORT; says its port. KIND is web,
webs (TLS), mail, or mails (STARTTLS, and AUTH PLAIN of ringfence, `geheim`)."""
import base64
import http.server
import json
import os
import socketserver
import ssl
import subprocess
import sys

KIND, DIR, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])


def context():
    cert, key = os.path.join(DIR, "ca.pem"), os.path.join(DIR, "server.key")
    if not os.path.exists(cert):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", cert], check=True, stderr=subprocess.DEVNULL)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert, key)
    return made


def note(name, what):
    with open(os.path.join(DIR, name), "a", encoding="utf-8") as f:
        f.write(json.dumps(what) + "\n")


class Web(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self):
        name = os.path.basename(self.path)
        body, status = b"", 200
        try:
            with open(os.path.join(DIR, name + ".status"), encoding="ascii") as f:
                status = int(f.read())
        except FileNotFoundError:
            pass
        try:
            with open(os.path.join(DIR, name), "rb") as f:
                body = f.read()
        except FileNotFoundError:
            status = 404 if status == 200 and self.command == "GET" else status
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", "/moved")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if os.path.basename(self.path) == "hang":
            self.rfile.read(1)
            return
        self.answer()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        note("posts", {"path": self.path, "type": self.headers["Content-Type"],
                       "token": self.headers.get("Authorization", ""), "body": body})
        self.answer()


class Mail(socketserver.StreamRequestHandler):
    """RFC 5321 as far as it goes, in its order only: EHLO, [STARTTLS, EHLO, AUTH,] MAIL,
    RCPT..., DATA. A recipient `nobody@...` is refused."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def line(self):
        raw = self.rfile.readline(2000)
        if not raw.endswith(b"\r\n"):
            raise ConnectionError("no CRLF")
        return raw[:-2].decode("ascii")

    def secure(self):
        self.say("220 go on")
        self.connection = context().wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.tls, self.greeted = True, False

    def data(self):
        self.say("354 end with a dot")
        lines = []
        while (text := self.line()) != ".":
            lines.append(text[1:] if text.startswith(".") else text)
        note("mails", {"from": self.sender, "to": self.to, "tls": self.tls, "user": self.user,
                       "lines": lines})
        self.sender, self.to = None, []
        self.say("250 taken")

    def handle(self):
        self.tls = self.greeted = False
        self.user, self.sender, self.to = "", None, []
        self.say("220 test ESMTP")
        try:
            while self.one(self.line()):
                pass
        except (ConnectionError, ssl.SSLError, UnicodeDecodeError):
            pass

    def one(self, said):
        word, _, rest = said.partition(" ")
        ready = self.greeted and (KIND == "mail" or (self.tls and self.user))
        if word == "EHLO" and rest:
            self.greeted = True
            if KIND == "mails":
                self.say("250-test\r\n250 " + ("AUTH PLAIN" if self.tls else "STARTTLS"))
            else:
                self.say("250 test")
        elif word == "STARTTLS" and KIND == "mails" and not self.tls:
            self.secure()
        elif word == "AUTH" and self.tls and self.greeted:
            kind, _, first = rest.partition(" ")
            if kind != "PLAIN":
                self.say("504 only PLAIN")
                return True
            if not first:
                self.say("334 ")
                first = self.line()
            _, user, secret = base64.b64decode(first).decode().split("\0")
            self.user = user if (user, secret) == ("ringfence", "geheim") else ""
            self.say("235 welcome" if self.user else "535 wrong")
        elif word == "MAIL" and ready and rest.startswith("FROM:<") and self.sender is None:
            self.sender = rest[6:rest.index(">")]
            self.say("250 ok")
        elif word == "RCPT" and self.sender is not None and rest.startswith("TO:<"):
            if rest.startswith("TO:<nobody@"):
                self.say("550 there is no such box")
            else:
                self.to.append(rest[4:-1])
                self.say("250 ok")
        elif word == "DATA" and self.to:
            self.data()
        elif word == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("503 out of order: " + word)
        return True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # no look-up of our own name
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, *_):
        pass


with Server(("127.0.0.1", PORT), Mail if KIND.startswith("mail") else Web) as server:
    if KIND == "webs":
        server.socket = context().wrap_socket(server.socket, server_side=True)
    if KIND == "mails":
        context()
    print(server.server_address[1], flush=True)
    server.serve_forever()
