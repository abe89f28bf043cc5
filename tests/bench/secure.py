"""Rows about TLS: what of a plain connection's rate is left, in one run, in turns.

librdkafka (kcat) is a client as there are many, and takes its share of the machine: it sends many a record of 1 KiB as
two TLS records, and more than half of the CPU is its own. The bare clients cost little, so that the node is what
limits. A plain fetch by one of them is sendfile, which copies nothing, at a rate that few networks have.
"""

import shutil
import time

from harness import (BUILD, GIB, MIB, Node, Reader, can_connect, chain_once, cpu_s, edge_config, free_port,
                     make_records, produce_once, run, start_hub, tool, wait_until)


def make_certificates(bench):
    """A directory with ca.pem, and node.pem and node.key for 127.0.0.1."""
    directory = bench.directory / "certificates"
    if not directory.exists():
        run([BUILD.millrace, "tls", "init", "-d", directory])
        run([BUILD.millrace, "tls", "issue", "-d", directory, "node", "localhost", "127.0.0.1"])
    return directory


def server_tls(certificates):
    return {"cert": str(certificates / "node.pem"), "key": str(certificates / "node.key")}


def ratios(bench, name, plain, secure):
    """plain, secure: (seconds, CPU seconds) of each round."""
    bench.row(f"{name}, TLS / plain", [one[0] / two[0] for one, two in zip(plain, secure)], "x", ">= 0.6")
    bench.row(f"{name}, TLS / plain, CPU", [two[1] / one[1] for one, two in zip(plain, secure) if one[1] > 0], "x")


def kcat_options(certificates):
    return ("security.protocol=ssl", f"ssl.ca.location={certificates / 'ca.pem'}")


def bare_produce_once(bench, hub_tls=None, more=()):
    """Seconds, and CPU seconds of the hub, for the bare client to send full batches to four partitions."""
    directory, port, hub = start_hub(bench, hub_tls)
    before = cpu_s(hub.pid)
    answer = tool("millrace_bench_produce", "--port", port, "--topic", "access", "--partitions", 4, "--size",
                  bench.size // MIB, *more)[-1]
    values = answer["seconds"], cpu_s(hub.pid) - before
    hub.stop()
    shutil.rmtree(directory)
    return values


def tls_bare_produce(bench, certificates):
    plain, secure = [], []
    for _ in range(bench.rounds):
        plain.append(bare_produce_once(bench))
        secure.append(bare_produce_once(bench, server_tls(certificates), ["--tls", certificates / "ca.pem"]))
    bench.row("produce by a bare client, TLS", [bench.size / 1e6 / wall for wall, _ in secure], "MB/s")
    ratios(bench, "produce by a bare client", plain, secure)


def tls_produce(bench, certificates):
    source = make_records(bench)
    plain, secure = [], []
    options = kcat_options(certificates)
    for _ in range(bench.rounds):
        plain.append(produce_once(bench, source))
        secure.append(produce_once(bench, source, server_tls(certificates), options))
    source.unlink()
    ratios(bench, "produce by librdkafka", plain, secure)


def tls_fetch(bench, certificates):
    bench.make_log()
    directory = bench.fresh("fetch")
    ports = free_port(), free_port()
    config = edge_config(ports[0], [bench.log])
    config["listen"].append({"address": f"127.0.0.1:{ports[1]}", "tls": server_tls(certificates)})
    node = Node(directory, "edge", config).start()
    wait_until(lambda: can_connect(ports[0]), 20, "the node")
    reader = Reader(ports[0], "access")
    wait_until(lambda: reader.end_offset() >= bench.lines, 300, "the log")
    sides = [], []
    rates = []
    for _ in range(bench.rounds):
        for values, port, more in ((sides[0], ports[0], []), (sides[1], ports[1], ["--tls", certificates / "ca.pem"])):
            before = cpu_s(node.pid)
            answers = [tool("millrace_bench_fetch", "--port", port, "--topic", "access", "--until", bench.lines, *more)[-1]
                       for _ in range(2)]
            values.append((min(one["seconds"] for one in answers), cpu_s(node.pid) - before))
            size = sum(one["bytes"] for one in answers)
        rates.append((answers[-1]["gb_per_s"], sides[1][-1][1] / (size / GIB)))
    node.stop()
    shutil.rmtree(directory)
    bench.row("fetch by one bare consumer, TLS", [rate for rate, _ in rates], "GB/s")
    bench.row("fetch by one bare consumer, TLS: CPU", [cpu for _, cpu in rates], "s/GiB")
    ratios(bench, "fetch by one bare consumer (plain: sendfile)", *sides)


def kcat_fetch_once(node, port, options=()):
    before = cpu_s(node.pid)
    begin = time.monotonic()
    words = [word for option in options for word in ("-X", option)]
    run(["kcat", "-q", "-b", f"127.0.0.1:{port}", "-t", "access", "-C", "-o", "beginning", "-e", *words])
    return time.monotonic() - begin, cpu_s(node.pid) - before


def tls_kcat_fetch(bench, certificates):
    """kcat reads 1 KiB records and throws them away."""
    directory = bench.fresh("fetch")
    ports = free_port(), free_port()
    listen = [{"address": f"127.0.0.1:{ports[0]}"},
              {"address": f"127.0.0.1:{ports[1]}", "tls": server_tls(certificates)}]
    node = Node(directory, "hub", {"listen": listen, "topics": {"access": {"partitions": 1}}}).start()
    wait_until(lambda: can_connect(ports[0]), 20, "the hub")
    size = tool("millrace_bench_produce", "--port", ports[0], "--topic", "access", "--size",
                bench.size // MIB)[-1]["bytes"]
    plain, secure = [], []
    for _ in range(bench.rounds):
        plain.append(kcat_fetch_once(node, ports[0]))
        secure.append(kcat_fetch_once(node, ports[1], kcat_options(certificates)))
    node.stop()
    shutil.rmtree(directory)
    bench.row("fetch by librdkafka, TLS", [size / 1e6 / wall for wall, _ in secure], "MB/s")
    ratios(bench, "fetch by librdkafka", plain, secure)


def tls_chain(bench, certificates):
    bench.make_log()
    plain, secure = [], []
    peer = {"tls": {"ca": str(certificates / "ca.pem")}}
    for place in range(bench.rounds):
        plain.append(chain_once(bench))
        secure.append(chain_once(bench, check=place == 0, hub_tls=server_tls(certificates), peer=peer))
    both = [[(wall, edge + hub) for wall, edge, hub in values] for values in (plain, secure)]
    bench.row("file to edge to hub, TLS", [bench.size / 1e6 / wall for wall, _ in both[1]], "MB/s")
    ratios(bench, "file to edge to hub", *both)


def tls(bench):
    certificates = make_certificates(bench)
    tls_bare_produce(bench, certificates)
    tls_kcat_fetch(bench, certificates)
    tls_produce(bench, certificates)
    tls_fetch(bench, certificates)
    tls_chain(bench, certificates)


ROWS = {"tls": tls}
