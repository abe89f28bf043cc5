"""Logging in by hand, for what no client would do: half a conversation, a replayed proof, a request before its
time; and the few messages about users and rights that the tests of security need."""

import base64
import hashlib
import hmac
import os
import struct

import raw
from raw import compact, string, unsigned

API_VERSIONS, METADATA, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 3, 17, 36
DESCRIBE_USERS, ALTER_USERS, CREATE_ACLS = 50, 51, 30
SHA_256, SHA_512 = 1, 2
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class Connection(raw.Peer):
    """A raw client that can log in."""

    def handshake(self, mechanism, version=1):
        """Returns the error and the mechanisms that are offered."""
        answer = self.call(SASL_HANDSHAKE, version, string(mechanism))
        error, count = struct.unpack(">hi", answer[:6])
        names, at = [], 6
        for _ in range(count):
            size = struct.unpack(">h", answer[at:at + 2])[0]
            names.append(answer[at + 2:at + 2 + size].decode())
            at += 2 + size
        return error, names

    def authenticate(self, token):
        """SaslAuthenticate v1: error, token, session lifetime."""
        answer = self.call(SASL_AUTHENTICATE, 1, struct.pack(">i", len(token)) + token)
        error, size = struct.unpack(">hh", answer[:4])
        at = 4 + max(size, 0)
        size = struct.unpack(">i", answer[at:at + 4])[0]
        at += 4
        return error, answer[at:at + size], struct.unpack(">q", answer[at + size:at + size + 8])[0]

    def scram(self, mechanism, user, password):
        """The whole conversation: the last error, and the session's lifetime."""
        assert self.handshake(mechanism)[0] == 0
        client = Scram(mechanism, user, password)
        error, challenge, _ = self.authenticate(client.first())
        if error:
            return error, 0
        error, proof, lifetime = self.authenticate(client.answer(challenge))
        if not error:
            client.check(proof)
        return error, lifetime


class Scram:
    """The client's side, independent of the one in C."""

    def __init__(self, mechanism, user, password, nonce=None):
        self.hash = HASHES[mechanism]
        self.password = password.encode()
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={escaped},r={self.nonce}"

    def first(self):
        return f"n,,{self.bare}".encode()

    def hmac(self, key, data):
        return hmac.new(key, data, self.hash).digest()

    def answer(self, challenge):
        challenge = challenge.decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        assert fields["r"].startswith(self.nonce)
        without_proof = f"c=biws,r={fields['r']}"
        auth = f"{self.bare},{challenge},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields["s"]),
                                     int(fields["i"]))
        key = self.hmac(salted, b"Client Key")
        stored = hashlib.new(self.hash, key).digest()
        proof = bytes(a ^ b for a, b in zip(key, self.hmac(stored, auth)))
        self.expected = self.hmac(self.hmac(salted, b"Server Key"), auth)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, message):
        assert message == b"v=" + base64.b64encode(self.expected)


def set_user(connection, user, password, mechanisms=(SHA_256, SHA_512), iterations=4096):
    """AlterUserScramCredentials v0, as Kafka's tools send it. Returns the errors by user."""
    upsertions = b""
    for mechanism in mechanisms:
        salt = os.urandom(20)
        salted = hashlib.pbkdf2_hmac({SHA_256: "sha256", SHA_512: "sha512"}[mechanism],
                                     password.encode(), salt, iterations)
        upsertions += compact(user) + struct.pack(">bi", mechanism, iterations) + compact(salt) + \
            compact(salted) + b"\0"
    body = unsigned(1) + unsigned(len(mechanisms) + 1) + upsertions + b"\0"
    return user_errors(connection.call(ALTER_USERS, 0, body, flexible=True))


def remove_user(connection, user, mechanisms=(SHA_256, SHA_512)):
    deletions = b"".join(compact(user) + struct.pack(">b", mechanism) + b"\0"
                         for mechanism in mechanisms)
    body = unsigned(len(mechanisms) + 1) + deletions + unsigned(1) + b"\0"
    return user_errors(connection.call(ALTER_USERS, 0, body, flexible=True))


def user_errors(answer):
    """The results of AlterUserScramCredentials: {user: error}."""
    at, errors = 4, {}
    count, at = answer[at] - 1, at + 1
    for _ in range(count):
        size = answer[at] - 1
        user = answer[at + 1:at + 1 + size].decode()
        at += 1 + size
        errors[user] = struct.unpack(">h", answer[at:at + 2])[0]
        at += 2
        at += 1 + max(answer[at] - 1, 0)  # the message; short enough for one byte of length
        at += 1
    return errors


TOPIC, GROUP, CLUSTER = 2, 3, 4
LITERAL, PREFIXED = 3, 4
DENY, ALLOW = 2, 3
ALL, READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE = 2, 3, 4, 5, 6, 7, 8
IDEMPOTENT_WRITE = 12


def add_acl(connection, principal, operation, resource, name, pattern=LITERAL, permission=ALLOW,
            host="*"):
    """CreateAcls v1, one binding: the error."""
    body = struct.pack(">ib", 1, resource) + string(name) + struct.pack(">b", pattern) + \
        string(principal) + string(host) + struct.pack(">bb", operation, permission)
    answer = connection.call(CREATE_ACLS, 1, body)
    return struct.unpack(">h", answer[8:10])[0]


def end_offset(hub, topic):
    """How many records partition 0 of the topic has, by the hub's own socket; -1: there is no such topic."""
    with Connection(str(hub.socket_path)) as control:
        answer = control.call(2, 1, struct.pack(">iih", -1, 1, len(topic)) + topic.encode() +
                              struct.pack(">iiq", 1, 0, -1))
    return struct.unpack(">q", answer[-8:])[0]
