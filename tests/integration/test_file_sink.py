"""The file sink through kills: every line arrives, and none is torn."""

import json
import random
import subprocess
import time

import pytest

from node import run, wait_until

ROUNDS = 6
LINES_PER_ROUND = 3000


def text_of(files, unpack):
    """All lines of the files, in order; a torn or foreign one fails."""
    lines = []
    for path in files:
        if unpack:
            done = subprocess.run([*unpack, str(path)], capture_output=True, check=False)
            assert done.returncode == 0, f"{path}: {done.stderr}"
            lines += done.stdout.decode().splitlines()
        else:
            lines += path.read_text(encoding="utf-8").splitlines()
    return lines


def is_delivered(edge, count):
    """Whether the sink has answered for as many records, and nothing waits."""
    done = run("sinks", "-o", "json", "--data", edge.data)
    if done.returncode != 0:
        return False
    parts = json.loads(done.stdout)[0]["partitions"]
    return bool(parts) and parts[0]["end"] == count and parts[0]["queued"] == 0


@pytest.mark.parametrize("compression, unpack", [("none", []), ("gzip", ["gzip", "-dc"])])
def test_loses_and_tears_nothing_through_kills(node, tmp_path, compression, unpack):
    """kill -9 at random moments while lines flow into rotated files."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    log = tmp_path / "app.log"
    out = tmp_path / "out"
    edge = node({"node": {"run": str(tmp_path / "run")},
                 "sources": {"app": {"type": "file", "paths": [str(log)], "topic": "app"}},
                 "sinks": {"archive": {"type": "file", "topics": ["app"], "path": str(out / "app.log"),
                                       "compression": compression, "rotate": {"size": "64KiB"}}}}, "edge")
    expected = []
    with open(log, "w", encoding="utf-8") as file:
        for _ in range(ROUNDS):
            edge.start()
            for _ in range(LINES_PER_ROUND):
                expected.append(f"line {len(expected)} of the file")
                file.write(expected[-1] + "\n")
            file.flush()
            time.sleep(chance.random() * 0.05)  # the moment of the kill: nothing waits for it
            edge.kill()
    edge.start()
    wait_until(lambda: is_delivered(edge, len(expected)), what=f"the last line (seed {seed})")
    edge.stop()
    lines = text_of(out.iterdir(), unpack)
    assert set(lines) == set(expected), f"seed {seed}"
    assert len(lines) >= len(expected)
