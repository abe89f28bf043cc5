"""A small server of identities: keys, tokens that they have signed, and both over HTTP(S)."""

import base64
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, **keywords):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                          **keywords).stdout


class Key:
    """A key pair of openssl's: RS256 to PS512 and ES256 to ES512."""

    CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}

    def __init__(self, where, name, algorithm="RS256"):
        self.name, self.algorithm = name, algorithm
        self.path = where / f"{name}.key"
        if algorithm in self.CURVES:
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                    f"ec_paramgen_curve:{self.CURVES[algorithm][0]}", "-out", self.path)
        else:
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path)

    def jwk(self):
        common = {"kid": self.name, "alg": self.algorithm, "use": "sig"}
        if self.algorithm in self.CURVES:
            curve, size = self.CURVES[self.algorithm]
            point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-2 * size:]
            return {"kty": "EC", "crv": curve, "x": encode(point[:size]), "y": encode(point[size:]),
                    **common}
        modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
        return {"kty": "RSA", "n": encode(bytes.fromhex(modulus)), "e": "AQAB", **common}

    def sign(self, text):
        options = ["dgst", f"-sha{self.algorithm[2:]}", "-sign", self.path]
        if self.algorithm.startswith("PS"):
            options += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = openssl(*options, input=text)
        if self.algorithm not in self.CURVES:
            return signature
        return b"".join(number.to_bytes(self.CURVES[self.algorithm][1], "big")
                        for number in der_integers(signature))


def der_integers(data):
    """The two integers of a DER sequence."""
    at = 2 if data[1] < 0x80 else 3
    numbers = []
    for _ in range(2):
        size = data[at + 1]
        numbers.append(int.from_bytes(data[at + 2:at + 2 + size], "big"))
        at += 2 + size
    return numbers


def token(key, subject="alice", lifetime_s=3600, header=None, **claims):
    now = int(time.time())
    head = {"alg": key.algorithm, "kid": key.name, "typ": "JWT", **(header or {})}
    body = {"sub": subject, "iss": "https://id.test", "aud": ["millrace"], "iat": now,
            "exp": now + lifetime_s, **claims}
    text = ".".join(encode(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
                    for part in (head, body))
    return text + "." + encode(key.sign(text.encode()))


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() for key in keys]})


class Server:
    """GET /keys gives self.keys, POST /token gives self.give() to the client "edge" with the secret
    "s&cret"; both count. With self.status set both answer that."""

    def __init__(self, certificates=None):
        self.keys, self.give, self.status = "{}", None, None
        self.key_requests, self.token_requests, self.forms = 0, 0, []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, text):
                self.send_response(owner.status or status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self):
                owner.key_requests += 1
                self.answer(200, owner.keys)

            def do_POST(self):
                owner.token_requests += 1
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                owner.forms.append(urllib.parse.parse_qs(form))
                word = self.headers.get("Authorization", "").partition("Basic ")[2]
                user, _, secret = base64.b64decode(word).decode().partition(":")
                if (user, urllib.parse.unquote(secret)) != ("edge", "s&cret"):
                    self.answer(401, '{"error":"invalid_client"}')
                else:
                    self.answer(200, json.dumps({"access_token": owner.give(), "token_type": "Bearer",
                                                 "expires_in": 3600}))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
            self.url = f"https://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
