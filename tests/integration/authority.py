"""A small authority for tests, by the program's own `millrace tls`, and by OpenSSL for what that does
not make: certificates of another time."""

import pathlib
import subprocess

from node import PATIENCE_S, run


class Authority:
    def __init__(self, directory, name="test authority"):
        self.directory = pathlib.Path(directory)
        done = run("tls", "init", "-d", self.directory, "--name", name)
        assert done.returncode == 0, done.stderr

    def path(self, name):
        return str(self.directory / name)

    def issue(self, name, *names, client=False):
        """A new pair in the place of an older one; the key first, as careful people do."""
        fresh = self.directory / "fresh"
        fresh.mkdir(exist_ok=True)
        for file in ("ca.pem", "ca.key"):
            (fresh / file).write_bytes((self.directory / file).read_bytes())
        for file in (f"{name}.pem", f"{name}.key"):
            (fresh / file).unlink(missing_ok=True)
        options = ["--client"] if client else []
        done = run("tls", "issue", "-d", fresh, name, *names, *options)
        assert done.returncode == 0, done.stderr
        for suffix in ("key", "pem"):
            (fresh / f"{name}.{suffix}").rename(self.directory / f"{name}.{suffix}")

    def revoke(self, name):
        done = run("tls", "revoke", "-d", self.directory, self.path(f"{name}.pem"))
        assert done.returncode == 0, done.stderr

    def issue_dated(self, name, begins, ends):
        """A pair for localhost that is good from one time (20200101000000Z) to another."""
        config = self.directory / "ca.cnf"
        config.write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\npolicy=p\n"
                          "default_md=sha256\n[p]\ncommonName=supplied\n"
                          "[e]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
        (self.directory / "index").touch()
        for command in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                         "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "csr"],
                        ["ca", "-batch", "-config", "ca.cnf", "-extensions", "e", "-create_serial",
                         "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate", begins, "-enddate",
                         ends, "-notext", "-in", "csr", "-out", f"{name}.pem"]):
            subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=PATIENCE_S,
                           cwd=self.directory)

    def tls(self, name, **more):
        """What a listener's `tls` says."""
        return {"cert": self.path(f"{name}.pem"), "key": self.path(f"{name}.key"),
                "ca": self.path("ca.pem"), **more}
