"""What `cmake --install` leaves behind is a program that runs, and nothing outside of the prefix."""

import pathlib
import subprocess

from node import PATIENCE_S, binary

BUILD = pathlib.Path(binary()).parent
SOURCE = pathlib.Path(__file__).resolve().parents[2]


def install(prefix):
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(prefix)], check=True,
                   capture_output=True, timeout=PATIENCE_S)
    return [path.relative_to(prefix) for path in prefix.rglob("*") if path.is_file()]


def test_installs_everything_below_its_prefix(tmp_path):
    """Each kind of file in the tree has its place; the installed binary starts by itself."""
    files = [str(path) for path in install(tmp_path)]
    assert "bin/millrace" in files
    for manual in (SOURCE / "docs" / "man").glob("*.scd"):
        section = manual.stem.rsplit(".", 1)[1]
        assert f"share/man/man{section}/{manual.stem}" in files
    for unit in (SOURCE / "systemd").glob("*.service*"):
        assert f"lib/systemd/system/{unit.name.removesuffix('.in')}" in files
    for example in (SOURCE / "conf" / "examples").glob("*.yaml"):
        assert f"share/doc/millrace/examples/{example.name}" in files
    if (SOURCE / "conf" / "millrace.yaml").exists():
        assert "etc/millrace/millrace.yaml" in files
    version = subprocess.run([str(tmp_path / "bin" / "millrace"), "version"], capture_output=True,
                             text=True, timeout=PATIENCE_S, check=True)
    assert "0.1.0" in version.stdout
