"""Documents say what the program does: the reference is the program's, examples load, links lead
somewhere, and every command in them exists."""

import pathlib
import os
import re

import pytest

from node import run

TOP = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for path in TOP.rglob("*.md")
                   if not {"build", ".git"} & set(path.relative_to(TOP).parts))
EXAMPLES = sorted((TOP / "conf" / "examples").glob("*.yaml"))


def commands():
    """The subcommands, by the program's own list."""
    return re.findall(r"^  (\w+) {2,}\S", run("--help").stdout, re.M)


def test_the_reference_configuration_is_what_the_program_prints():
    assert (TOP / "conf" / "millrace.yaml").read_text(encoding="utf-8") == \
        run("config", "reference").stdout, \
        "make it anew: build/dev/millrace config reference > conf/millrace.yaml"


@pytest.mark.parametrize("path", EXAMPLES + [TOP / "conf" / "millrace.yaml"], ids=lambda path: path.name)
def test_example_configurations_are_fine(path):
    done = run("check", "-c", path)
    assert done.returncode == 0, done.stderr


def test_configurations_in_documents_are_fine(tmp_path):
    """Each YAML block that has a node is a whole configuration."""
    count = 0
    (tmp_path / "hub").write_text("secret", encoding="utf-8")  # what ${cred:hub} stands for
    (tmp_path / "cluster").write_text("a key of 16 characters or more", encoding="utf-8")
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for document in DOCUMENTS:
        for block in re.findall(r"^```yaml\n(.*?)^```$", document.read_text(encoding="utf-8"), re.M | re.S):
            if re.search(r"^node:", block, re.M):
                config = tmp_path / "block.yaml"
                config.write_text(block, encoding="utf-8")
                done = run("check", "-c", config, env=environment)
                assert done.returncode == 0, f"{document}:\n{block}\n{done.stderr}"
                count += 1
    assert count >= 2


def test_the_manual_names_every_subcommand():
    manual = (TOP / "docs" / "man" / "millrace.1.scd").read_text(encoding="utf-8")
    assert len(commands()) > 10
    for command in commands():
        assert re.search(rf"^\*{command}\*", manual, re.M), command


def test_documents_name_only_subcommands_that_exist():
    known = set(commands())
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.findall(r"^(?:    |```sh\n)(.*)$", text, re.M):
            for word in re.findall(r"(?:^|[|&;] *|/)millrace ([a-z]+)\b", block):
                assert word in known, f"{document.relative_to(TOP)}: millrace {word}"


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.relative_to(TOP)}: {target}"


def test_tests_that_documents_name_exist():
    for document in (TOP / "README.md", TOP / "docs" / "guide.md"):
        for name in re.findall(r"`(tests/[\w/.-]+)`", document.read_text(encoding="utf-8")):
            assert (TOP / name).exists(), f"{document.name}: {name}"
