"""Where a text stands in the memory of a process, as a core dump would have it."""

import re

import pytest

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+\s*(.*)$")


def mappings(pid):
    """(start, end, rights, name, flags) of each mapping."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            if head := MAPPING.match(line.rstrip("\n")):
                start, end, rights, name = head.groups()
                found.append([int(start, 16), int(end, 16), rights, name, []])
            elif line.startswith("VmFlags:"):
                found[-1][4] = line.split()[1:]
    return found


def dumped_and_kept(pid, texts):
    """Of these texts: which stand in memory that a core dump would hold, and which in memory that it
    would not (MADV_DONTDUMP). The process should be stopped."""
    dumped, kept = set(), set()
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except PermissionError:
        pytest.skip("the memory of a process cannot be read here (ptrace is not allowed)")
    with memory:
        for start, end, rights, name, flags in mappings(pid):
            if "r" not in rights or name in ("[vvar]", "[vsyscall]") or "io" in flags:
                continue
            for data in pieces(memory, start, end):
                into = kept if "dd" in flags else dumped
                into.update(text for text in texts if text.encode() in data)
    return dumped, kept


def pieces(memory, start, end, size=64 << 20):
    """What can be read of a mapping; pieces overlap by a page, so that no text falls in between."""
    at = start
    while at < end:
        try:
            memory.seek(at)
            yield memory.read(min(size, end - at) + (4096 if at + size < end else 0))
        except OSError:
            pass  # beyond the end of a mapped file
        at += size
