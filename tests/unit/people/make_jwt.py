#!/usr/bin/env python3
"""JWTs by openssl, good ones and forged ones: make_jwt.py DIR. Each NAME.jwt is one token,
jwks.json has the provider's keys, rotated.json those of
later. They are made for NOW, or with `now` for this moment."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time

NOW = int(time.time()) if sys.argv[2:] == ["now"] else 1795000000


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(hexadecimal):
    return b64(bytes.fromhex(hexadecimal if len(hexadecimal) % 2 == 0 else "0" + hexadecimal))


def rsa_jwk(path, kid):
    modulus = openssl("rsa", "-in", path, "-noout", "-modulus").decode().strip()
    return {"kty": "RSA", "kid": kid, "use": "sig", "e": "AQAB",
            "n": number(modulus.split("=")[1])}


def ec_jwk(path, kid):
    point = openssl("ec", "-in", path, "-pubout", "-outform", "DER")[-64:]
    return {"kty": "EC", "kid": kid, "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:])}


def raw_signature(der):
    """Two INTEGERs in a SEQUENCE, as 32 bytes each."""
    out, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        out += der[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return out


def sign(alg, key, signed):
    if alg == "none":
        return b""
    if alg == "HS256":
        return hmac.new(key, signed, hashlib.sha256).digest()
    der = openssl("dgst", "-sha256", "-sign", key, data=signed)
    return raw_signature(der) if alg == "ES256" else der


def token(alg, key, claims, **head):
    header = {"alg": alg, "typ": "JWT", **head}
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = (b64(json.dumps(header).encode()) + "." + b64(body)).encode()
    return signed.decode() + "." + b64(sign(alg, key, signed))


def main(top):
    rsa, other, ec, weak = (os.path.join(top, n) for n in ("rsa", "other", "ec", "weak"))
    for path, bits in ((rsa, "2048"), (other, "2048"), (weak, "1024")):
        openssl("genrsa", "-out", path, bits)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", ec)
    public = openssl("rsa", "-in", rsa, "-pubout")
    good = {"iss": "https://id.example", "aud": "ringfence", "exp": NOW + 300,
            "nbf": NOW - 5, "preferred_username": "anna", "roles": ["admin"]}
    signed = token("RS256", rsa, good, kid="r1")
    head, body, mark = signed.split(".")
    evil = b64(json.dumps({**good, "preferred_username": "root"}).encode())
    tokens = {
        "rs256": signed,
        "es256": token("ES256", ec, good, kid="e1"),
        "no-kid": token("RS256", rsa, good),
        "audiences": token("RS256", rsa, {**good, "aud": ["x", "ringfence"]}, kid="r1"),
        "late": token("RS256", rsa, {**good, "exp": NOW - 29}, kid="r1"),
        "none": token("none", None, good, kid="r1"),
        "none-empty": token("none", None, good)[:-1],
        "hs256": token("HS256", public, good, kid="r1"),
        "rs512": token("RS512", rsa, good, kid="r1"),
        "wrong-key": token("RS256", other, good, kid="r1"),
        "unknown-kid": token("RS256", other, good, kid="r9"),
        "weak-key": token("RS256", weak, good, kid="w1"),
        "other-kind": token("ES256", ec, good, kid="r1"),
        "tampered": head + "." + evil + "." + mark,
        "unsigned": head + "." + body + ".",
        "issuer": token("RS256", rsa, {**good, "iss": "https://evil.example"}, kid="r1"),
        "audience": token("RS256", rsa, {**good, "aud": "grafana"}, kid="r1"),
        "no-audience": token("RS256", rsa, {k: v for k, v in good.items() if k != "aud"},
                             kid="r1"),
        "expired": token("RS256", rsa, {**good, "exp": NOW - 30}, kid="r1"),
        "no-expiry": token("RS256", rsa, {k: v for k, v in good.items() if k != "exp"},
                           kid="r1"),
        "text-expiry": token("RS256", rsa, {**good, "exp": "never"}, kid="r1"),
        "early": token("RS256", rsa, {**good, "nbf": NOW + 31}, kid="r1"),
        "nameless": token("RS256", rsa, {**good, "preferred_username": ""}, kid="r1"),
        "mail": token("RS256", rsa, {**good, "preferred_username": "anna@example.org"},
                      kid="r1"),
        "zero": token("RS256", rsa, {**good, "preferred_username": "anna\0x"}, kid="r1"),
        "critical": token("RS256", rsa, good, kid="r1", crit=["exp"]),
        "twice": token("RS256", rsa, json.dumps(good).encode()[:-1] +
                       b', "preferred_username": "root"}', kid="r1"),
    }
    for name, text in tokens.items():
        with open(os.path.join(top, name + ".jwt"), "w", encoding="ascii") as f:
            f.write(text)
    with open(os.path.join(top, "jwks.json"), "w", encoding="ascii") as f:
        json.dump({"keys": [rsa_jwk(rsa, "r1"), ec_jwk(ec, "e1"), rsa_jwk(weak, "w1")]}, f)
    with open(os.path.join(top, "rotated.json"), "w", encoding="ascii") as f:
        json.dump({"keys": [rsa_jwk(other, "r9")]}, f)
    with open(os.path.join(top, "weak.json"), "w", encoding="ascii") as f:
        json.dump({"keys": [rsa_jwk(weak, "w1")]}, f)


main(sys.argv[1])
