"""A small OpenID provider: python3 oidc.py PORT [HOST]. Whoever comes to /authorize is signed in at once as the person that the address names; a
browser, whose address names nobody, gets a page to choose from.

The address of the authorization may carry `as` (the person), `groups` (by commas) and `fault`, which makes that sign-in's token wrong in one way. Codes are
for one use; the client, its secret, the address to return to and PKCE (S256) are checked as RFC 6749 and 7636 say.
"""
import base64
import hashlib
import hmac
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlencode, urlparse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PORT = int(sys.argv[1])
HOST = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
ISSUER = f"http://{HOST}:{PORT}"
CLIENT, SECRET = "huong", "a secret: of/the client"
RSA, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
codes = {}
# What a person may choose on the page, and what it puts into the address.
CHOICES = {"Lan": {"as": "Lan"}, "Khách": {"as": "Khách", "groups": "other"}, "Huỷ": {"fault": "denied"}}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def keys():
    rsa_numbers, ec_numbers = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    return [
        {"kty": "RSA", "use": "sig", "kid": "rsa", "n": number(rsa_numbers.n), "e": number(rsa_numbers.e)},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": number(ec_numbers.x, 32), "y": number(ec_numbers.y, 32)},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "unused"},
    ]


def token(asked, fault):
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": "4711", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
        "preferred_username": asked.get("as", "Lan"), "realm": {"groups": asked.get("groups", "huong-operators").split(",")},
    }
    changed = {"audience": ("aud", "another"), "nonce": ("nonce", "another"), "expired": ("exp", now - 3600), "issuer": ("iss", "https://another.invalid")}
    if fault in changed:
        name, value = changed[fault]
        claims[name] = value
    header = {"typ": "JWT", "alg": "RS256", "kid": "rsa"}
    header |= {"es256": {"alg": "ES256", "kid": "ec"}, "none": {"alg": "none"}, "hs256": {"alg": "HS256"}, "kid": {"kid": "unknown"}}.get(fault, {})
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}".encode()
    if fault == "es256":
        r, s = decode_dss_signature(EC.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    elif fault == "none":
        signature = b""
    elif fault == "hs256":
        signature = hmac.digest(keys()[0]["n"].encode(), signed, "sha256")
    else:
        signature = (STRANGER if fault == "signature" else RSA).sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return f"{signed.decode()}.{b64(signature)}"


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def page(self, asked):
        links = "".join(f'<p><a href="/authorize?{urlencode(asked | choice)}">{name}</a></p>' for name, choice in CHOICES.items())
        text = f'<!doctype html><html lang="vi"><meta charset="utf-8"><title>SSO</title><h1>Tài khoản thành phố</h1>{links}</html>'.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answer(self, status, body, **headers):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        address = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path == "/.well-known/openid-configuration":
            ends = {f"{name}_endpoint": f"{ISSUER}/{path}" for name, path in [("authorization", "authorize?tenant=hue"), ("token", "token")]}
            return self.answer(200, {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", **ends})
        if address.path == "/keys":
            return self.answer(200, {"keys": keys()})
        if address.path != "/authorize":
            return self.answer(404, {})
        wanted = {"tenant": "hue", "response_type": "code", "client_id": CLIENT, "scope": "openid profile", "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        if wrong:
            return self.answer(400, {"error": "invalid_request", "wrong": wrong})
        if "text/html" in self.headers.get("accept", "") and not {"as", "fault"} & asked.keys():
            return self.page(asked)
        if asked.get("fault") == "denied":
            query = {"error": "access_denied", "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            codes[code] = asked
            query = {"code": code, "state": asked["state"], "session_state": "x"}
        self.answer(302, {}, location=f"{asked['redirect_uri']}?{urlencode(query)}")

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        given = {name: values[0] for name, values in form.items()}
        kind, _, pair = self.headers.get("authorization", "").partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":") if kind == "Basic" else ("", "", "")
        if (unquote(client), unquote(secret)) != (CLIENT, SECRET):
            return self.answer(401, {"error": "invalid_client"})
        asked = codes.pop(given.get("code"), None)
        challenge = b64(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
        if asked is None or challenge != asked["code_challenge"] or given.get("redirect_uri") != asked["redirect_uri"]:
            return self.answer(400, {"error": "invalid_grant"})
        self.answer(200, {"access_token": "x", "token_type": "Bearer", "id_token": token(asked, asked.get("fault"))})


ThreadingHTTPServer(("127.0.0.1", PORT), Provider).serve_forever()
