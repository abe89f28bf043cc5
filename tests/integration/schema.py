"""Kafka's messages as Python dictionaries, by the descriptions in queue/wire/*.h.

    encode("create_topics_request", 5, {"topics": [{"name": "t", "num_partitions": 1}]})
    decode("create_topics_response", 5, data)      # {"throttle_time_ms": 0, "topics": [{...}]}

What is left out of a dictionary has its default. Nothing is checked when encoding: None is null also where
that is not allowed, so that wrong requests can be made; `_tags` of a dictionary adds (tag, bytes) to it.
That the descriptions themselves are right, tests/wire/messages.golden shows."""

import pathlib
import re
import struct

WIRE = pathlib.Path(__file__).resolve().parents[2] / "queue/wire"
LAST = 32767
NUMBERS = {"BOOL": ">?", "INT8": ">b", "INT16": ">h", "UINT16": ">H", "INT32": ">i", "INT64": ">q",
           "FLOAT64": ">d"}
CONSTANTS = {"INT64_MAX": 2**63 - 1, "INT64_MIN": -2**63, "INT32_MAX": 2**31 - 1, "INT32_MIN": -2**31,
             "LAST": LAST, "WIRE_VERSION_NEVER": LAST, "true": True, "false": False}


class Field:
    """One row of a description."""

    def __init__(self, kind, arguments):
        self.item = None
        if kind in ("ARRAY", "EMBEDDED", "OPTIONAL"):
            self.item = arguments.pop(0)
        elif kind.endswith("_ARRAY"):
            kind, self.item = "ARRAY", kind.removesuffix("_ARRAY")
        self.kind = kind
        self.name = arguments[0]
        self.since, self.until = number(arguments[1]), number(arguments[2])
        options = dict(re.fullmatch(r"(\w+)(?:\((.*)\))?", option).groups() for option in arguments[3:])
        self.tag = number(options["TAG"]) if "TAG" in options else None
        self.default = {"STRING": "", "CLASSIC_STRING": "", "BYTES": b"", "RECORDS": b"", "ARRAY": [],
                        "UUID": bytes(16), "EMBEDDED": {}, "OPTIONAL": None}.get(kind, 0)
        if "DEFAULT_NULL" in options:
            self.default = None
        elif "DEFAULT" in options:
            self.default = number(options["DEFAULT"])

    def is_in(self, version):
        return self.since <= version <= self.until


class Message:
    def __init__(self, name, low, high, flexible):
        self.name, self.low, self.high, self.flexible = name, number(low), number(high), number(flexible)

    @property
    def versions(self):
        return range(self.low, self.high + 1)


def number(word):
    return CONSTANTS[word] if word in CONSTANTS else int(word, 0)


def split(text):
    """At the commas that are in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def read_descriptions():
    structs, messages, apis = {}, {}, {}
    call = re.compile(r"^ *([A-Z][A-Z0-9_]*)\(((?:[^()]|\([^()]*\))*)\)$", re.M)
    for path in sorted(WIRE.glob("*.h")):
        text = path.read_text(encoding="utf-8")
        if '#include "queue/wire/describe.h"' not in text:
            continue
        rows = None
        for word, arguments in call.findall(text):
            arguments = split(arguments)
            if word == "STRUCT":
                rows = structs[arguments[0]] = []
            elif word == "MESSAGE":
                messages[arguments[0]] = Message(*arguments)
            elif word != "END_STRUCT":
                rows.append(Field(word, arguments))
    for key, name, kind in re.findall(r"X\((\d+), \w+, (\w+), (\w+)\)",
                                      (WIRE / "api.h").read_text(encoding="utf-8")):
        apis[name] = (int(key), messages[f"{kind}_request"], messages[f"{kind}_response"])
    return structs, messages, apis


STRUCTS, MESSAGES, APIS = read_descriptions()


# ---- encoding ----

def unsigned_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def encode_sized(data, count, is_compact, classic):
    """The length, then the data; `count` None is null."""
    if is_compact:
        return unsigned_varint(0 if count is None else count + 1) + data
    return struct.pack(classic, -1 if count is None else count) + data


def encode_value(kind, item, value, version, flexible):
    if kind in NUMBERS:
        return struct.pack(NUMBERS[kind], value)
    if kind == "UUID":
        return value
    if kind in ("STRING", "CLASSIC_STRING", "BYTES", "RECORDS"):
        data = b"" if value is None else value.encode() if isinstance(value, str) else value
        count = None if value is None else len(data)
        return encode_sized(data, count, flexible and kind != "CLASSIC_STRING",
                            ">h" if kind.endswith("STRING") else ">i")
    if kind == "EMBEDDED":
        return encode_struct(item, value, version, flexible)
    if kind == "OPTIONAL":
        return b"\xff" if value is None else b"\x01" + encode_struct(item, value, version, flexible)
    assert kind == "ARRAY", kind
    inner = "EMBEDDED" if item in STRUCTS else item
    data = b"".join(encode_value(inner, item, one, version, flexible) for one in value or [])
    return encode_sized(data, None if value is None else len(value), flexible, ">i")


def encode_struct(name, values, version, flexible):
    fields = STRUCTS[name]
    unknown = set(values) - {field.name for field in fields} - {"_tags"}
    assert not unknown, f"{name} has no {unknown}"
    out, tags = b"", dict(values.get("_tags", ()))
    for field in fields:
        if not field.is_in(version):
            continue
        value = values.get(field.name, field.default)
        if field.tag is None:
            out += encode_value(field.kind, field.item, value, version, flexible)
        elif field.name in values:
            tags[field.tag] = encode_value(field.kind, field.item, value, version, flexible)
    if flexible:
        out += unsigned_varint(len(tags))
        for tag, data in sorted(tags.items()):
            out += unsigned_varint(tag) + unsigned_varint(len(data)) + data
    return out


def encode(message, version, values):
    return encode_struct(message, values, version, version >= MESSAGES[message].flexible)


# ---- decoding ----

class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError(f"{size} bytes wanted, {len(self.data) - self.at} left")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def unsigned_varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


def decode_value(reader, kind, item, version, flexible):
    if kind in NUMBERS:
        return reader.unpack(NUMBERS[kind])
    if kind == "UUID":
        return reader.take(16)
    if kind == "EMBEDDED":
        return decode_struct(reader, item, version, flexible)
    if kind == "OPTIONAL":
        return None if reader.unpack(">b") < 0 else decode_struct(reader, item, version, flexible)
    if flexible and kind != "CLASSIC_STRING":
        size = reader.unsigned_varint() - 1
    else:
        size = reader.unpack(">h" if kind.endswith("STRING") else ">i")
    if size < 0:
        return None
    if kind == "ARRAY":
        inner = "EMBEDDED" if item in STRUCTS else item
        return [decode_value(reader, inner, item, version, flexible) for _ in range(size)]
    data = reader.take(size)
    return data.decode() if kind.endswith("STRING") else data


def decode_struct(reader, name, version, flexible):
    values, tagged = {}, {}
    for field in STRUCTS[name]:
        if not field.is_in(version):
            continue
        if field.tag is None:
            values[field.name] = decode_value(reader, field.kind, field.item, version, flexible)
        else:
            tagged[field.tag] = field
    for _ in range(reader.unsigned_varint() if flexible else 0):
        tag = reader.unsigned_varint()
        part = Reader(reader.take(reader.unsigned_varint()))
        if tag in tagged:
            field = tagged[tag]
            values[field.name] = decode_value(part, field.kind, field.item, version, flexible)
        else:
            values.setdefault("_tags", []).append((tag, part.data))
    return values


def decode(message, version, data):
    reader = Reader(data)
    values = decode_struct(reader, message, version, version >= MESSAGES[message].flexible)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes behind the end of {message}")
    return values
