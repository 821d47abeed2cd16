"""What the start needed is returned to the kernel afterwards, and everything that lives goes on working."""

import gc
import subprocess
import sys
import weakref

from agent import memory

PROGRAM = """
import hashlib, ssl, orjson
from pathlib import Path
from agent import memory

def pages_of_files():
    return int(Path("/proc/self/status").read_text().partition("RssFile:")[2].split()[0])

ssl.create_default_context()
before = pages_of_files()
memory.return_memory_of_start()
after = pages_of_files()
ssl.create_default_context()
assert hashlib.sha256(orjson.dumps({"read": "again"})).hexdigest()
print(before, after)
"""


class Node:
    """A part of a circle of references."""

    other: "Node | None" = None


def circle() -> weakref.ref[Node]:
    one, two = Node(), Node()
    one.other, two.other = two, one
    return weakref.ref(one)


def test_pages_of_libraries_are_unmapped_after_the_start_and_libraries_go_on_working():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after < before / 2


def test_circles_that_the_start_has_left_behind_are_collected_and_the_rest_is_excluded_from_collections():
    with memory.collector_paused():
        left_behind = circle()
    assert left_behind() is not None

    memory.return_memory_of_start()

    assert left_behind() is None
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
