"""The command line against a running node: what it prints, and its exit codes."""

import json
import signal
import subprocess

import pytest
from kafka.partitioner.default import murmur2

from node import PATIENCE_S, binary, run, wait_until

LINES = [f"line {number}" for number in range(1000)]


@pytest.fixture
def edge(node, free_port, tmp_path):
    """A node that has read a file of 1000 lines and written them to another."""
    log = tmp_path / "app.log"
    log.write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    edge = node({
        "node": {"name": "edge", "run": str(tmp_path / "run")},
        "listen": [{"address": f"127.0.0.1:{free_port()}"}],
        "sources": {"app": {"type": "file", "paths": [str(log)], "topic": "app"}},
        "sinks": {"archive": {"type": "file", "topics": ["app"],
                              "path": str(tmp_path / "out" / "{topic}.log")}}}, "edge")
    edge.log, edge.archive = log, tmp_path / "out" / "app.log"
    edge.start()
    wait_until(lambda: edge.archive.exists() and
               edge.archive.read_text(encoding="utf-8").count("\n") == len(LINES), what="the archive")
    return edge


def cli(edge, *arguments, status=0, **keywords):
    done = run(*arguments, "--data", edge.data, **keywords)
    assert done.returncode == status, done.stderr
    return done


def test_files_sinks_ledger_and_health_agree(edge):
    """After everything is delivered: nothing behind, nothing queued, balanced books, all well."""
    wait_until(lambda: json.loads(cli(edge, "sinks", "-o", "json").stdout)[0]["partitions"][0]["queued"]
               == 0, what="an empty queue")
    (file,) = json.loads(cli(edge, "files", "-o", "json").stdout)
    assert file["path"] == str(edge.log) and file["behind"] == 0
    assert file["position"] == edge.log.stat().st_size
    (sink,) = json.loads(cli(edge, "sinks", "-o", "json").stdout)
    assert sink["partitions"][0]["delivered"] == len(LINES) and sink["error"] is None
    ledger = json.loads(cli(edge, "ledger", "-o", "json").stdout)
    assert ledger["balanced"] and ledger["sources"][0]["in"] == len(LINES)
    assert json.loads(cli(edge, "health", "-o", "json").stdout)["status"] == "ok"
    assert edge.archive.read_text(encoding="utf-8").splitlines() == LINES


def test_tables_are_for_eyes_and_for_cut(edge):
    table = cli(edge, "files").stdout.splitlines()
    assert table[0].split()[:3] == ["SOURCE", "PATH", "STATE"] and "\033" not in table[0]
    rows = cli(edge, "files", "--no-header").stdout.splitlines()
    assert [row.split() for row in rows] == [row.split() for row in table[1:]]
    assert cli(edge, "ledger", "--quiet").stdout == ""


def test_consume_prints_each_record_once(edge):
    for way in (["-b", edge.bootstrap], ["--data", edge.data], ["-c", edge.config_path]):
        done = run("consume", "-t", "app", "-o", "beginning", "-e", *way)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == LINES
    last = cli(edge, "consume", "-t", "app", "-o", "-3", "-e").stdout.splitlines()
    assert last == LINES[-3:]
    some = cli(edge, "consume", "-t", "app", "-o", "500", "-n", "2", "-f", "json").stdout.splitlines()
    assert [json.loads(line)["offset"] for line in some] == [500, 501]
    assert json.loads(some[0])["headers"]["mr.file"] == str(edge.log)
    assert cli(edge, "consume", "-t", "app", "-o", "@0", "-n", "1").stdout == LINES[0] + "\n"
    assert cli(edge, "consume", "-t", "app", "-o", "@9999-01-01T00:00:00Z", "-e").stdout == ""


def test_consume_ends_in_good_order_on_ctrl_c(edge):
    with subprocess.Popen([binary(), "consume", "-t", "app", "-o", "beginning", "-b", edge.bootstrap],
                          stdout=subprocess.PIPE, text=True) as reader:
        assert [reader.stdout.readline() for _ in LINES] == [line + "\n" for line in LINES]
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE_S) == 130


def test_produce_writes_lines_and_keys(edge):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        cli(edge, "produce", "-t", codec, "--compression", codec, input="one\ntwo\nthree")
        assert cli(edge, "consume", "-t", codec, "-o", "beginning", "-e").stdout == "one\ntwo\nthree\n"
    cli(edge, "produce", "-t", "keyed", "-k", ":", "--acks", "1", input="a:1\nb:2:3\nnone\n")
    records = [json.loads(line) for line in
               cli(edge, "consume", "-t", "keyed", "-o", "beginning", "-e", "-f", "json").stdout.splitlines()]
    assert [(record["key"], record["value"]) for record in records] == \
        [("a", "1"), ("b", "2:3"), (None, "none")]


def test_produce_of_many_lines_keeps_their_order(edge):
    lines = "".join(f"number {number}\n" for number in range(200000))
    cli(edge, "produce", "-t", "many", input=lines)
    assert cli(edge, "consume", "-t", "many", "-o", "beginning", "-e").stdout == lines


def test_topics_are_made_shown_changed_and_removed(edge):
    cli(edge, "topics", "create", "web", "--partitions", "3", "--config", "retention.ms=3600000")
    assert "TOPIC_ALREADY_EXISTS" in cli(edge, "topics", "create", "web", status=1).stderr
    cli(edge, "topics", "create", "ghost", "--dry-run")
    rows = json.loads(cli(edge, "topics", "-o", "json").stdout)
    assert rows == [{"topic": "app", "partitions": 1, "replicas": 1},
                    {"topic": "web", "partitions": 3, "replicas": 1}]
    cli(edge, "topics", "alter", "web", "--partitions", "5", "--config", "retention.ms=60000",
        "--config", "segment.bytes=1048576")
    cli(edge, "topics", "alter", "web", "--unset", "segment.bytes")
    (web,) = json.loads(cli(edge, "topics", "describe", "web", "-o", "json").stdout)
    assert len(web["partitions"]) == 5
    configs = {config["key"]: config["value"] for config in web["configs"]}
    assert configs["retention.ms"] == "60000" and "segment.bytes" not in configs
    assert "--yes" in cli(edge, "topics", "delete", "web", status=2, stdin=subprocess.DEVNULL).stderr
    cli(edge, "topics", "delete", "web", "--yes", "--dry-run")
    cli(edge, "topics", "delete", "web", "--yes")
    assert "web" not in cli(edge, "topics").stdout


def test_keys_go_where_kafkas_clients_send_them(edge):
    cli(edge, "topics", "create", "keyed", "--partitions", "7")
    keys = ["", "a", "ab", "abc", "abcd", "user-12345", "a-little-bit-longer-string", "\u00fcml\u00e4ut"]
    cli(edge, "produce", "-t", "keyed", "-k", "=", input="".join(f"{key}=x\n" for key in keys))
    records = [json.loads(line) for line in
               cli(edge, "consume", "-t", "keyed", "-o", "beginning", "-e", "-f", "json").stdout.splitlines()]
    assert {record["key"]: record["partition"] for record in records} == \
        {key: (murmur2(key.encode()) & 0x7fffffff) % 7 for key in keys}


def test_groups_show_where_sinks_stand(edge):
    """A sink's group has passed all lines once its position is committed."""
    def lag():
        done = run("groups", "describe", "sink.archive", "-o", "json", "--data", edge.data)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None
    wait_until(lambda: lag() and lag()["lag"] == 0, what="the commit")
    assert lag()["position"] == len(LINES) and lag()["topic"] == "app"
    assert "sink.archive" in cli(edge, "groups").stdout
    assert "no such group" in cli(edge, "groups", "describe", "nobody", status=1).stderr


def test_refusals_say_why(edge):
    """A local topic takes nothing from clients; a missing topic, partition or place is told."""
    done = cli(edge, "produce", "-t", "app", input="x\n", status=1)
    assert "POLICY_VIOLATION" in done.stderr and "0 records were acknowledged" in done.stderr
    assert "UNKNOWN_TOPIC" in cli(edge, "consume", "-t", "nothing", "-e", status=1).stderr
    assert "1 partitions" in cli(edge, "consume", "-t", "app", "-p", "7", status=1).stderr
    assert "OFFSET_OUT_OF_RANGE" in cli(edge, "consume", "-t", "app", "-o", "5000", status=1).stderr


@pytest.mark.parametrize("arguments, status, words", [
    (["files", "--data", "/nonexistent"], 69, "no node"),
    (["consume", "-t", "app", "-b", "127.0.0.1:1"], 69, "127.0.0.1:1"),
    (["consume", "-t", "app", "-o", "somewhere"], 2, "somewhere"),
    (["consume"], 2, "which topic"),
    (["topics", "lits"], 2, "did you mean 'list'"),
    (["topics", "delete"], 2, "which topics"),
    (["files", "-o", "yaml"], 2, "table or json"),
    (["files", "--no-heder"], 2, "--no-header"),
    (["sinks", "-c", "/nonexistent.yaml"], 78, "/nonexistent.yaml"),
    (["ledgr"], 2, "did you mean 'ledger'"),
])
def test_exit_codes_and_words(arguments, status, words):
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def completed(*words, script=None):
    """What bash would offer behind these words."""
    script = run("completion", "bash").stdout if script is None else script
    done = subprocess.run(
        ["bash", "-c", script + f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
         "_millrace; echo ${COMPREPLY[@]}"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_offers_commands_verbs_and_options():
    script = run("completion", "bash").stdout
    assert completed("millrace", "top", script=script) == ["topics"]
    assert {"run", "check", "dump", "completion"} <= set(completed("millrace", "''", script=script))
    assert completed("millrace", "topics", "de", script=script) == ["describe", "delete"]
    assert completed("millrace", "topics", "--partit", script=script) == ["--partitions"]
    assert completed("millrace", "consume", "--e", script=script) == ["--exit"]
    assert completed("millrace", "acls", "--gr", script=script) == ["--group"]
    for shell, words in (("zsh", ["#compdef millrace", "'topics:list, describe", "--partitions"]),
                         ("fish", ["-a topics", "-l partitions", "-a 'list describe create delete alter'"])):
        done = run("completion", shell)
        assert done.returncode == 0 and all(word in done.stdout for word in words)
    for wrong in ([], ["csh"], ["bash", "zsh"]):
        assert run("completion", *wrong).returncode == 2


def test_every_verb_that_is_offered_is_one(tmp_path):
    """One that is not is named in the refusal."""
    script = run("completion", "bash").stdout
    for command in ("topics", "groups", "users", "acls", "quotas", "tokens", "tls", "config",
                    "completion"):
        verbs = [word for word in completed("millrace", command, "''", script=script) if word[0] != "-"]
        assert verbs
        for verb in verbs:
            done = run(command, verb, stdin=subprocess.DEVNULL, cwd=tmp_path)
            assert f"'{verb}'" not in done.stderr, done.stderr


@pytest.mark.parametrize("command", ["files", "sinks", "ledger", "health", "topics", "groups", "produce",
                                     "consume"])
def test_help_begins_with_examples(command):
    done = run(command, "-h")
    assert done.returncode == 0
    assert done.stdout.splitlines()[2].lstrip().startswith(("millrace", "tail"))
