"""browser.py keys: a subscription's keys as JSON. browser.py read KEY AUTH: decrypts the request on standard input, a line of web.py,
and checks the signature of its token; prints both as JSON."""
import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if sys.argv[1] == "keys":
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_numbers().private_value
    public = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    print(json.dumps({"private": str(private), "p256dh": encode(public), "auth": encode(b"sixteen bytes ok")}))
else:
    request = json.load(sys.stdin)
    key = ec.derive_private_key(int(sys.argv[2]), ec.SECP256R1())
    plain = http_ece.decrypt(base64.b64decode(request["body"]), private_key=key, auth_secret=decode(sys.argv[3]), version="aes128gcm")
    scheme, _, parameters = request["headers"]["authorization"].partition(" ")
    parameters = dict(part.strip().split("=", 1) for part in parameters.split(","))
    signed, _, signature = parameters["t"].rpartition(".")
    signature = decode(signature)
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(parameters["k"]))
    public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))  # raises when it does not hold
    claims = json.loads(decode(signed.split(".")[1]))
    print(json.dumps({"message": json.loads(plain), "scheme": scheme, "claims": claims, "k": parameters["k"]}))
