"""kill -9: in rounds at random moments while the log is written and rotated, and at the three moments
of the durability table."""

import random
import time

from pair import Pair

RATE = 10000  # lines a second: both nodes are busy, and the machine is not full
PAUSE_S_MAX = 0.8
TABLE_LINES = 1000000


def kill_rounds(directory, options, victims, rotate):
    """Kills whom `victims` gives for each round, and starts them again at once."""
    chance = random.Random(options.seed)
    pair = Pair(directory)
    kills = {"edge": 0, "hub": 0}
    pair.write(int(options.rounds * RATE * (PAUSE_S_MAX / 2 + 0.12)), RATE, rotate, 10000)
    pair.start()
    try:
        for _ in range(options.rounds):
            time.sleep(chance.random() * PAUSE_S_MAX)
            chosen = [getattr(pair, name) for name in victims(chance)]
            for node in chosen:
                node.kill()
                kills[node.name] += pair.is_writing()
            pair.start(*chosen)
        pair.wait_written()
        return (*pair.verdict(), f"{pair.lines} lines, {kills['edge']} + {kills['hub']} kills "
                                 f"of edge + hub while it was written")
    finally:
        pair.close()


def edge_rename(directory, options):
    """edge killed, log rotated by rename"""
    return kill_rounds(directory, options, lambda chance: ["edge"], "rename")


def edge_copytruncate(directory, options):
    """edge killed, log rotated by copytruncate"""
    return kill_rounds(directory, options, lambda chance: ["edge"], "copytruncate")


def hub(directory, options):
    """hub killed"""
    return kill_rounds(directory, options, lambda chance: ["hub"], "rename")


def both(directory, options):
    """edge, hub, or both killed"""
    return kill_rounds(directory, options, lambda chance: chance.choice(
        [["edge"], ["hub"], ["edge", "hub"]]), "rename")


# ---- the durability table ----

def table(directory, options, scene):
    pair = Pair(directory)
    lines = TABLE_LINES // (10 if options.quick else 1)
    try:
        words = scene(pair, lines)
        pair.wait_written()
        return (*pair.verdict(), f"{lines} lines, {words}")
    finally:
        pair.close()


def far_side_down(directory, options):
    """far side down, agent killed twice, far side back"""
    def scene(pair, lines):
        pair.start()
        pair.write(lines, lines / 8)
        pair.wait_arrived(lines // 10)
        pair.hub.kill()
        for _ in range(2):
            time.sleep(2)
            pair.edge.kill()
            assert pair.is_writing()
            pair.start(pair.edge)
        pair.wait_written()
        pair.start(pair.hub)
        return f"written at {lines // 8}/s"
    return table(directory, options, scene)


def agent_in_full_flow(directory, options):
    """agent killed in full flow"""
    def scene(pair, lines):
        pair.start()
        pair.write(lines)
        pair.wait_stored(lines * 5)  # lz4 makes some 60 B of a line: a twelfth is there
        pair.edge.kill()
        at = pair.end_offset()
        pair.start(pair.edge)
        return f"written at full speed, killed with {at} at the hub"
    return table(directory, options, scene)


def far_side_killed(directory, options):
    """far side killed and back"""
    def scene(pair, lines):
        pair.start()
        pair.write(lines, lines / 4)
        pair.wait_arrived(lines // 5)
        at = pair.end_offset()
        pair.hub.kill()
        time.sleep(1)
        pair.start(pair.hub)
        return f"killed with {at} there, back after 1 s"
    return table(directory, options, scene)


ROWS = {"edge-rename": edge_rename, "edge-copytruncate": edge_copytruncate, "hub": hub,
        "both": both, "table-down": far_side_down, "table-agent": agent_in_full_flow,
        "table-far": far_side_killed}
