"""Rows about many at once: a dead sink beside a live one, a hundred consumers, a producer of bombs beside a consumer that
counts milliseconds. All are ratios to the same without the neighbour, taken in turns."""

import multiprocessing
import shutil
import statistics
import sys
import time

from harness import (GIB, TOP, Node, Reader, can_connect, chain_once, cpu_s, edge_config, free_port, run, tool,
                     wait_until)

sys.path.insert(0, str(TOP / "tests" / "integration"))
import raw  # noqa: E402

CONSUMERS = 100


def dead_sink(bench):
    """The rate of one sink while another's destination does not answer (DESIGN, promise 5)."""
    bench.make_log()
    dead = {"dead": {"type": "peer", "topics": ["access"], "nodes": ["127.0.0.1:1"]}}
    alone, beside = [], []
    chain_once(bench)  # warms everything
    for place in range(bench.rounds):
        alone.append(chain_once(bench)[0])
        beside.append(chain_once(bench, check=place == 0, more_sinks=dead)[0])
    bench.row("sink beside a dead one / alone", [one / two for one, two in zip(alone, beside)], "x", ">= 0.95")


def crowd(bench):
    """A hundred consumers of what is in memory, and a hundred that wait for what comes."""
    bench.make_log()
    directory = bench.fresh("crowd")
    port = free_port()
    node = Node(directory, "edge", edge_config(port, [bench.log])).start()
    wait_until(lambda: can_connect(port), 20, "the node")
    reader = Reader(port, "access")
    wait_until(lambda: reader.end_offset() >= bench.lines, 300, "the log")
    words = ["--port", port, "--topic", "access"]
    one, many, one_cpu, many_cpu = [], [], [], []
    for _ in range(bench.rounds):
        for rates, cpus, more in ((one, one_cpu, ["--until", bench.lines]),
                                  (many, many_cpu, ["--until", bench.lines // 25, "--consumers", CONSUMERS])):
            before = cpu_s(node.pid)
            answers = [tool("millrace_bench_fetch", *words, *more)[-1] for _ in range(2)]
            rates.append(max(answer["gb_per_s"] for answer in answers))
            cpus.append((cpu_s(node.pid) - before) / (sum(answer["bytes"] for answer in answers) / GIB))
    node.stop()
    shutil.rmtree(directory)
    bench.row(f"fetch by {CONSUMERS} consumers", many, "GB/s")
    bench.row(f"fetch by {CONSUMERS} consumers / by one", [all_ / alone for all_, alone in zip(many, one)], "x")
    bench.row(f"fetch by {CONSUMERS} consumers / by one, CPU per byte",
              [all_ / alone for all_, alone in zip(many_cpu, one_cpu)], "x")
    values = [tailing_once(bench) for _ in range(bench.rounds)]
    bench.row(f"{CONSUMERS} consumers that wait for a producer: delivered", [rate for rate, _ in values], "GB/s")
    bench.row(f"{CONSUMERS} consumers that wait for a producer: CPU", [cpu for _, cpu in values], "s/GiB")


def tailing_once(bench):
    """Each record goes to every consumer as it comes: GB/s, and CPU seconds of the hub for a GiB."""
    directory = bench.fresh("tailing")
    port = free_port()
    count = 16 * 1024
    source = directory / "records"
    source.write_bytes(((b"0123456789abcdef" * 64)[:1023] + b"\n") * count)
    hub = Node(directory, "hub", {"listen": [{"address": f"127.0.0.1:{port}"}], "topics": {"access": {}}}).start()
    wait_until(lambda: can_connect(port), 20, "the hub")
    with multiprocessing.Pool(1) as pool:
        before = cpu_s(hub.pid)
        readers = pool.apply_async(tool, ("millrace_bench_fetch", "--port", port, "--topic", "access", "--until", count,
                                          "--consumers", CONSUMERS))
        time.sleep(1)  # all wait
        run(["kcat", "-q", "-b", f"127.0.0.1:{port}", "-t", "access", "-P", "-X", "acks=1", "-X", "linger.ms=5", "-l",
             source])
        written = time.monotonic()
        answer = readers.get(120)[-1]
        late = time.monotonic() - written
    cpu = cpu_s(hub.pid) - before
    hub.stop()
    shutil.rmtree(directory)
    if late > 5:
        bench.fail(f"crowd: the last consumer was {late:.1f} s behind the producer")
    return answer["bytes"] / (answer["seconds"] - 1) / 1e9, cpu / (answer["bytes"] / GIB)


def zstd_bomb(size):
    """A zstd frame of `size` bytes that comes to 32,768 times as much: blocks of one byte, repeated 128 Ki times."""
    block = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return bytes.fromhex("28b52ffd0038") + block * (size // len(block))


def bomber(port, body, has_begun):
    """Sends batches that cannot be kept, as fast as they are refused, five at a time."""
    with raw.Peer(port, timeout_s=60) as peer:
        for number in range(5):
            peer.send(raw.frame(0, 7, number, body))
        while peer.receive():
            has_begun.set()
            peer.send(raw.frame(0, 7, 9, body))


def probe(port, count):
    """Milliseconds from a produce until a consumer that waited has the record, sorted."""
    batch = raw.record_batch(b"x" * 100)
    taken = []
    with raw.Peer(port) as producer, raw.Peer(port) as consumer:
        offset = producer.produce("quick", batch)[1] + 1
        topic = raw.string("quick")
        for _ in range(count):
            ask = (-1).to_bytes(4, "big", signed=True) + (1000).to_bytes(4, "big") + (1).to_bytes(4, "big") + \
                (1 << 20).to_bytes(4, "big") + b"\0" + (1).to_bytes(4, "big") + topic + (1).to_bytes(4, "big") + \
                bytes(4) + offset.to_bytes(8, "big") + (1 << 20).to_bytes(4, "big")
            consumer.send(raw.frame(1, 4, 1, ask))
            begin = time.monotonic()
            offset = producer.produce("quick", batch)[1] + 1
            consumer.receive()
            taken.append((time.monotonic() - begin) * 1000)
            time.sleep(0.002)
    return sorted(taken)


def bombs(bench):
    """A consumer that waits for single records, alone and beside a producer of zstd bombs of 1 MB."""
    directory = bench.fresh("bombs")
    port = free_port()
    hub = Node(directory, "hub", {"listen": [{"address": f"127.0.0.1:{port}"}],
                                  "topics": {"access": {}, "quick": {}}}).start()
    wait_until(lambda: can_connect(port), 20, "the hub")
    probe(port, 50)
    body = raw.produce_body("access", raw.record_batch(records=zstd_bomb(1000000), attributes=4))
    alone, beside = [], []
    for _ in range(bench.rounds):
        alone.append(probe(port, 500))
        has_begun = multiprocessing.Event()
        process = multiprocessing.Process(target=bomber, args=(port, body, has_begun), daemon=True)
        process.start()
        if not has_begun.wait(60):
            bench.fail("bombs: none was answered")
        beside.append(probe(port, 500))
        process.terminate()
        process.join()
    hub.stop()
    shutil.rmtree(directory)
    p99 = [[one[len(one) * 99 // 100] for one in values] for values in (alone, beside)]
    bench.row("consumer alone: p99", p99[0], "ms")
    bench.row("consumer beside zstd bombs: p50", [statistics.median(one) for one in beside], "ms")
    bench.row("consumer beside zstd bombs: p99", p99[1], "ms")
    bench.row("consumer beside zstd bombs / alone, p99", [two / one for one, two in zip(*p99)], "x")


ROWS = {"dead": dead_sink, "crowd": crowd, "bombs": bombs}
