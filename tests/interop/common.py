"""What the suites here share: a hub to talk to, and what is downloaded once."""

import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

FETCH_TIMEOUT_S = 600
HERE = pathlib.Path(__file__).resolve().parent
BINARY = str(HERE.parents[1] / "build/dev/millrace")
WORK = str(HERE.parents[1] / "build/interop")

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>millrace</groupId><artifactId>interop</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{0}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{0}</version></dependency>
</dependencies></project>
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, bound_s, log):
    deadline = time.monotonic() + bound_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                sys.exit(log.read_text(encoding="utf-8"))
            time.sleep(0.05)


class Hub:
    """A hub in a directory of its own, on a free port; what else its listener and its configuration say, as
    YAML."""

    def __init__(self, binary, listener="", more=""):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-interop-"))
        self.binary = binary
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data = self.directory / "data"
        config = self.directory / "hub.yaml"
        config.write_text(f"node: {{id: 1, data: {self.data}, run: {self.directory}/run}}\n"
                          f"listen: [{{address: \"{self.address}\"{listener}}}]\n{more}", encoding="utf-8")
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen([binary, "run", "-c", str(config)], stderr=log)
        wait_for_port(self.port, self.process, 30, self.directory / "log")

    def close(self):
        """True when it was still there, and ended well."""
        self.process.terminate()
        status = self.process.wait(20)
        if status != 0:
            print("\n".join((self.directory / "log").read_text(encoding="utf-8").splitlines()[-15:]))
        shutil.rmtree(self.directory, ignore_errors=True)
        return status == 0


def fetched(work, name, make):
    """The directory `name`, made by make(directory) once."""
    directory = work / name
    if not (directory / ".done").exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        print(f"fetching {name} ...", file=sys.stderr, flush=True)
        make(directory)
        (directory / ".done").touch()
    return directory


def fetch(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, timeout=FETCH_TIMEOUT_S, stdout=subprocess.DEVNULL)


def kafka_jars(version, work):
    """The directory with the jars of Apache Kafka, of Maven Central."""
    def make(directory):
        (directory / "pom.xml").write_text(POM.format(version), encoding="utf-8")
        fetch("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", cwd=directory)

    return fetched(work, f"kafka-{version}", make) / "lib"
