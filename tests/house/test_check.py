#!/usr/bin/python3
"""The house check must be able to fail: a small good tree passes, and each single spoiling of it is
named. Nothing else may be named with it, or a rule fires on what is right."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check")

GOOD = {
    "base/core/ground.h": "/* The ground. */\nint mr_ground(void);\n",
    "base/core/ground.c": '/* How it lies. */\n#include "base/core/ground.h"\n\n#include <uv.h>\n',
    "base/text/words.h": "/* Words. */\nint mr_words(void);\n",
    "base/text/words.c": '#include "base/text/words.h"\n\n#include "base/core/ground.h"\n',
    "queue/log/log.h": "/* The log. */\nint log_open(void);\n",
    "queue/log/log.c": '/* Ours. */\n#include "queue/log/log.h"\n\n#include "queue/wire/batch.h"\n'
                       '/* sleep(1), open(2) and malloc(3) may be spoken of */\n'
                       'static const char text[] = "malloc(";\nint x = disk->ops->open(disk);\n',
    "queue/wire/batch.h": "/* Bytes. */\nint batch_check(void);\n",
    "queue/broker/face.c": '/* Faces. */\n#include "queue/log/log.h"\n',
    "sources/file/file.c": '/* A plugin. */\n#include "base/text/words.h"\n',
    "sinks/peer.c": '/* May more. */\n#include "queue/wire/batch.h"\n',
    "agent/main.c": '/* The program. */\n#include "base/core/ground.h"\n',
    "tests/unit/base/core/test_ground.c": '/* Tests. */\n#include "base/core/ground.h"\nTEST(a, b)\n{\n}\n',
}
READMES = ("agent", "base", "base/core", "base/text", "queue", "queue/log", "queue/wire", "queue/broker",
           "sources", "sources/file", "sinks", "conf", "docs", "systemd", "tests", "tests/lib",
           "tests/integration", "tests/house")

# What is added to which file -> what the check must say about it. The third word: only with --strict.
SPOILED = [
    ("base/core/ground.c", '#include "base/text/words.h"\n', "base/core may not include base/text", False),
    ("base/text/words.c", '#include "queue/log/log.h"\n', "base/text may not include queue/log", False),
    ("queue/wire/batch.h", '#include "queue/log/log.h"\n', "queue/wire may not include queue/log", False),
    ("sources/file/file.c", '#include "queue/log/log.h"\n', "sources may not include queue/log", False),
    ("sources/file/file.c", '#include "queue/wire/batch.h"\n', "sources may not include", False),
    ("sinks/peer.c", '#include "queue/log/log.h"\n', "sinks may not include queue/log", False),
    ("agent/main.c", '#include "queue/log/log.h"\n', "agent may not include queue/log", False),
    ("agent/main.c", '#include "base/core/gone.h"\n', "which is not there", False),
    ("queue/log/log.c", "#include <uv.h>\n", "<uv.h> belongs into", False),
    ("base/core/ground.c", "#include <yaml.h>\n", "<yaml.h> belongs into", False),
    ("sources/file/file.c", "#include <zlib.h>\n", "<zlib.h> belongs into", False),
    ("base/text/words.c", "#include <openssl/ssl.h>\n", "<openssl/ssl.h> belongs into", False),
    ("queue/log/log.c", "#include <systemd/sd-daemon.h>\n", "belongs into", False),
    ("base/text/words.c", "void *m = malloc(3);\n", "malloc() goes round its door", False),
    ("base/core/ground.c", "void *m = calloc(1, 3);\n", "calloc() goes round its door", False),
    ("agent/main.c", "int y = strcpy(a, b);\n", "strcpy() goes round", False),
    ("agent/main.c", "int y = sprintf(a, b);\n", "sprintf() goes round", False),
    ("base/core/ground.c", "int y = strcat(a, b);\n", "strcat() goes round", False),
    ("base/core/ground.c", "int y = gets(a);\n", "gets() goes round", False),
    ("sources/file/file.c", "int y = time(NULL);\n", "time() goes round its door", False),
    ("queue/log/log.c", "int y = open(path, 0);\n", "open() goes round mr_disk", False),
    ("queue/log/log.c", "int y = rename(a, b);\n", "rename() goes round mr_disk", False),
    ("sources/file/file.c", "int y = fopen(path);\n", "fopen() goes round mr_disk", False),
    ("sources/file/file.c", "int y = unlink(path);\n", "unlink() goes round mr_disk", False),
    ("tests/unit/base/core/test_ground.c", "int y = usleep(5);\n", "waits for luck", False),
    ("agent/main.c", "/* TO" + "DO: later */\n", "not finished", False),
    ("tests/unit/base/core/test_ground.c", "/* FIX" + "ME */\n", "not finished", False),
    ("tests/unit/test_empty.c", "/* Empty. */\n", "has no test", False),
    ("tests/bench/test_lost.c", "/* Lost. */\nTEST(a, b)\n", "not in a folder that is registered", False),
    ("cellar/x.c", "", None, False),
    ("queue/cellar/x.c", "/* Own room? */\n#include \"agent/main.h\"\n", "which is not there", False),
    ("agent/flow/x.c", "/* X. */\n", "has no README.md", True),
    ("agent/bare.c", "int x;\n", "does not say what it is", True),
    ("base/core/dead.h", "/* Dead. */\n", "is included by nobody", True),
    ("agent/main.c", "/* " + "x" * 110 + " */\n", "columns", True),
]


def write(top, path, text, mode="w"):
    place = top / path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open(mode, encoding="utf-8") as file:
        file.write(text)


def run(top, *options):
    done = subprocess.run([sys.executable, "-B", str(CHECK), "--top", str(top), *options],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


class HouseCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.top = pathlib.Path(self.folder.name)
        for path, text in GOOD.items():
            write(self.top, path, text)
        for folder in READMES:
            write(self.top, f"{folder}/README.md", "# A room\n")

    def test_a_good_tree_passes(self):
        status, offences, notes = run(self.top, "--strict")
        self.assertEqual((status, offences), (0, []), notes)

    def test_each_single_offence_is_named_alone(self):
        for path, added, words, is_strict in SPOILED:
            with self.subTest(path=path, added=added):
                before = GOOD.get(path)
                write(self.top, path, added, "a")
                status, offences, notes = run(self.top, *(["--strict"] if is_strict else []))
                if is_strict:
                    self.assertEqual(run(self.top)[0], 0, "without --strict it is let pass")
                if words is None:
                    self.assertEqual((status, offences), (0, []), notes)
                else:
                    self.assertEqual(status, 1, notes)
                    self.assertEqual(len(offences), 1, offences)
                    self.assertTrue(offences[0].startswith(path.rsplit("/", 1)[0]), offences)
                    self.assertIn(words, offences[0])
                if before is None:
                    (self.top / path).unlink()
                else:
                    write(self.top, path, before)

    def test_a_file_that_only_its_own_c_includes_is_dead(self):
        write(self.top, "agent/lone.h", "/* Lone. */\n")
        write(self.top, "agent/lone.c", '#include "agent/lone.h"\n')
        self.assertEqual(run(self.top, "--strict")[1], ["agent/lone.h:1: is included by nobody"])


if __name__ == "__main__":
    unittest.main()
