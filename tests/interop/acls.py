#!/usr/bin/python3
"""Random bindings and questions for AclJudge.java, and for tests/unit/queue/meta/test_acl.c.

    tests/interop/acls.py SEED SETS > questions
"""

import random
import sys

TOPIC, GROUP, CLUSTER, TRANSACTION = 2, 3, 4, 5
NAMES = ["a", "ab", "abc", "abd", "b", "web", "web.access", "web.error", "*", "we"]
PRINCIPALS = ["User:alice", "User:bob", "User:*", "User:CN=x,O=y", "Node:alice"]
HOSTS = ["10.0.0.1", "10.0.0.2", "*"]
OPERATIONS = list(range(3, 13))


def resource(source):
    kind = source.choice([TOPIC, TOPIC, TOPIC, GROUP, CLUSTER, TRANSACTION])
    return kind, "kafka-cluster" if kind == CLUSTER else source.choice(NAMES)


def main():
    source, sets = random.Random(int(sys.argv[1])), int(sys.argv[2])
    for _ in range(sets):
        print("new", int(source.random() < 0.2), sep="\t")
        made = set()
        for _ in range(source.choice([0, 1, 2, 4, 8, 16])):
            kind, name = resource(source)
            pattern = 3 if kind == CLUSTER or name == "*" or source.random() < 0.5 else 4
            made.add((kind, pattern, name, source.choice(PRINCIPALS), source.choice(HOSTS),
                      source.choice([2, *OPERATIONS]), source.choice([2, 3, 3, 3])))
        for binding in sorted(made):
            print("acl", *binding, sep="\t")
        for _ in range(40):
            kind, name = resource(source)
            who = source.choice(["User:alice", "User:bob", "User:CN=x,O=y", "Node:alice"])
            host, operation = source.choice(HOSTS[:2]), source.choice(OPERATIONS)
            print("ask", who, host, operation, kind, name if name != "*" else "abcd", sep="\t")
            if kind != CLUSTER and operation in (3, 4, 5) and source.random() < 0.3:
                print("any", who, host, operation, kind, sep="\t")


if __name__ == "__main__":
    main()
