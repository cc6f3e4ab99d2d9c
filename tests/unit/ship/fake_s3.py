"""A strict bucket: what S3 does with the requests that Ringfence makes, and nothing else.

It computes the signature (AWS Signature Version 4) from what came over the wire, refuses
headers that it does not know or that are missing, keeps a version of each object under
object lock, and behaves as a file tells it, one word on each line for the next request:
403 500 503 hang close lost (of the next PUT: the object is kept, the answer is not sent),
or as usual.

    fake_s3.py DIR REGION BUCKET ACCESS SECRET [KEYS PER PAGE]

prints its port. DIR/objects has what was put, DIR/log a line for each request,
DIR/faults the faults; the first is taken away when it is used."""
import base64
import datetime
import hashlib
import hmac
import http.server
import os
import sys
import threading
import time
import urllib.parse

folder, region, bucket, access, secret = sys.argv[1:6]
page = int(sys.argv[6]) if len(sys.argv) > 6 else 1000
objects = os.path.join(folder, "objects")
os.makedirs(objects, exist_ok=True)
lock = threading.Lock()

KNOWN = {
    "GET": {"host", "authorization", "x-amz-date", "x-amz-content-sha256", "accept",
            "user-agent"},
    "PUT": {"host", "authorization", "x-amz-date", "x-amz-content-sha256", "accept",
            "user-agent", "content-md5", "content-type", "content-length", "if-none-match",
            "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "expect"},
}
WANTED = {
    "GET": {"host", "authorization", "x-amz-date", "x-amz-content-sha256"},
    "PUT": {"host", "authorization", "x-amz-date", "x-amz-content-sha256", "content-md5",
            "content-length", "if-none-match", "x-amz-object-lock-mode",
            "x-amz-object-lock-retain-until-date"},
}


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def take_fault(method):
    path = os.path.join(folder, "faults")
    with lock:
        try:
            with open(path) as f:
                words = f.read().split()
        except FileNotFoundError:
            return ""
        if not words or (words[0] == "lost" and method != "PUT"):
            return ""
        with open(path + ".new", "w") as f:
            f.write("\n".join(words[1:]))
        os.rename(path + ".new", path)
        return words[0]


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def check_headers(method, headers):
    names = [name.lower() for name in headers.keys()]
    if len(names) != len(set(names)):
        raise Refused(400, "InvalidRequest", "a header comes twice")
    unknown = set(names) - KNOWN[method]
    if unknown:
        raise Refused(400, "InvalidRequest", "unknown header " + sorted(unknown)[0])
    missing = WANTED[method] - set(names)
    if missing:
        raise Refused(400, "InvalidRequest", "missing header " + sorted(missing)[0])


def check_signature(method, path, headers, body):
    auth = headers["Authorization"]
    scheme, _, rest = auth.partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        raise Refused(400, "InvalidRequest", "not signed by Signature Version 4")
    parts = dict(p.strip().split("=", 1) for p in rest.split(","))
    who, day, where, service, end = parts["Credential"].split("/")
    if who != access:
        raise Refused(403, "InvalidAccessKeyId", "no such key")
    if (where, service, end) != (region, "s3", "aws4_request"):
        raise Refused(400, "AuthorizationHeaderMalformed", "wrong scope")
    at = headers["X-Amz-Date"]
    then = datetime.datetime.strptime(at, "%Y%m%dT%H%M%SZ")
    if abs((datetime.datetime.utcnow() - then).total_seconds()) > 900 or day != at[:8]:
        raise Refused(403, "RequestTimeTooSkewed", "the time differs too much")
    if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", "the body is another one")

    signed = parts["SignedHeaders"].split(";")
    must = {"host"} | {n.lower() for n in headers.keys() if n.lower().startswith("x-amz-")}
    must |= {n.lower() for n in headers.keys() if n.lower() in ("content-md5",)}
    if signed != sorted(signed) or not must <= set(signed):
        raise Refused(403, "AccessDenied", "headers that must be signed are not: "
                      + ", ".join(sorted(must - set(signed))))
    plain, _, query = path.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical_query = "&".join(
        urllib.parse.quote(k, safe="-_.~") + "=" + urllib.parse.quote(v, safe="-_.~")
        for k, v in pairs)
    canonical = "\n".join([
        method,
        urllib.parse.quote(urllib.parse.unquote(plain), safe="/-_.~"),
        canonical_query,
        "".join(n + ":" + " ".join((headers[n] or "").split()) + "\n" for n in signed),
        parts["SignedHeaders"],
        headers["x-amz-content-sha256"]])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", at, "/".join([day, region, "s3",
                                                           "aws4_request"]),
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = sign(("AWS4" + secret).encode(), day)
    for text in (region, "s3", "aws4_request"):
        key = sign(key, text)
    if not hmac.compare_digest(sign(key, to_sign).hex(), parts["Signature"]):
        raise Refused(403, "SignatureDoesNotMatch", "the signature is another one")


def xml(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def list_objects(query):
    asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    if asked.get("list-type") != "2" or set(asked) - {"list-type", "max-keys", "prefix",
                                                      "start-after"}:
        raise Refused(400, "InvalidArgument", "not as ListObjectsV2 is asked")
    prefix, after = asked.get("prefix", ""), asked.get("start-after", "")
    keys = sorted(k.replace("%", "/") for k in os.listdir(objects) if not k.startswith("."))
    keys = [k for k in keys if k.startswith(prefix) and k > after]
    most = min(int(asked.get("max-keys", 1000)), page)
    more = len(keys) > most
    body = '<?xml version="1.0" encoding="UTF-8"?>\n'
    body += '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    body += "<Name>%s</Name><Prefix>%s</Prefix>" % (bucket, xml(prefix))
    body += "<KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys>" % (len(keys[:most]), most)
    body += "<IsTruncated>%s</IsTruncated>" % ("true" if more else "false")
    for k in keys[:most]:
        body += "<Contents><Key>%s</Key><Size>1</Size></Contents>" % xml(k)
    return (body + "</ListBucketResult>").encode()


def put_object(key, headers, body):
    if headers["Content-MD5"] != base64.b64encode(hashlib.md5(body).digest()).decode():
        raise Refused(400, "BadDigest", "Content-MD5 is that of something else")
    if headers["x-amz-object-lock-mode"] not in ("GOVERNANCE", "COMPLIANCE"):
        raise Refused(400, "InvalidArgument", "no such lock mode")
    until = datetime.datetime.strptime(headers["x-amz-object-lock-retain-until-date"],
                                       "%Y-%m-%dT%H:%M:%SZ")
    if until <= datetime.datetime.utcnow():
        raise Refused(400, "InvalidArgument", "retain until a time that has passed")
    path = os.path.join(objects, key.replace("/", "%"))
    with lock:
        if os.path.exists(path):
            if headers["If-None-Match"] == "*":
                raise Refused(412, "PreconditionFailed", "the name is taken")
            raise Refused(403, "AccessDenied", "it is under object lock")
        with open(os.path.join(objects, ".new"), "wb") as f:
            f.write(body)
        os.rename(os.path.join(objects, ".new"), path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, text):
        with lock, open(os.path.join(folder, "log"), "a") as f:
            f.write("%s %s %s\n" % (self.command, self.path, text))

    def answer(self, status, body):
        self.note(str(status))
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, e):
        self.answer(e.status, ("<?xml version=\"1.0\"?><Error><Code>%s</Code>"
                               "<Message>%s</Message></Error>"
                               % (e.code, xml(e.message))).encode())

    def fail(self, fault):
        if fault == "403":
            raise Refused(403, "AccessDenied", "Access Denied")
        if fault == "500":
            raise Refused(500, "InternalError", "We encountered an internal error.")
        if fault == "503":
            raise Refused(503, "SlowDown", "Please reduce your request rate.")
        if fault == "hang":
            self.note("hang")
            time.sleep(5)
        if fault in ("hang", "close"):
            self.close_connection = True
            return True
        return False

    def serve(self):
        fault = take_fault(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.fail(fault):
            return
        check_headers(self.command, self.headers)
        check_signature(self.command, self.path, self.headers, body)
        plain, _, query = self.path.partition("?")
        parts = plain.split("/", 2)
        if parts[1] != bucket:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        if self.command == "GET" and len(parts) == 2:
            self.answer(200, list_objects(query))
        elif self.command == "PUT" and len(parts) == 3 and parts[2] and not query:
            put_object(parts[2], self.headers, body)
            if fault == "lost":
                self.note("lost")
                self.close_connection = True
            else:
                self.answer(200, b"")
        else:
            raise Refused(405, "MethodNotAllowed", "not of this bucket")

    def take(self):
        try:
            self.serve()
        except Refused as e:
            self.refuse(e)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = take


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
