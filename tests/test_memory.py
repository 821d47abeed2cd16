"""What the start needed is returned to the kernel afterwards, and everything that lives goes on working."""

import gc
import weakref

from agent import memory


class Node:
    """A part of a circle of references."""

    other: "Node | None" = None


def circle() -> weakref.ref[Node]:
    one, two = Node(), Node()
    one.other, two.other = two, one
    return weakref.ref(one)


def test_circles_that_the_start_has_left_behind_are_collected_and_the_rest_is_excluded_from_collections():
    with memory.collector_paused():
        left_behind = circle()
    assert left_behind() is not None

    memory.return_memory_of_start()

    assert left_behind() is None
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
