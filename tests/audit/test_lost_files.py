"""A file is deleted while no agent runs: what had shipped from it, and was not sealed, cannot be proved."""

from agent.audit.kinds import Kind
from tests.audit.audited import audited, kinds, problems
from tests.audit.history import Node
from tests.proof.reference import problems as problems_of_the_reference


def killed_node(*, deleted: bool) -> Node:
    """It was killed after it had shipped four records that no seal states."""
    node = Node()
    node.write(6)
    node.read(2)
    node.seal()
    node.read(4)
    node.rotate()
    node.kill(deleted=deleted)
    node.write(2)
    node.read(10)
    node.leave()
    return node


def test_events_behind_the_gap_that_ends_a_file_are_a_note() -> None:
    node = killed_node(deleted=True)

    result = audited(node.events, node.now_ms)

    assert problems(result) == {}
    assert Kind.IN_A_GAP in kinds(result)
    assert problems_of_the_reference([event.message.decode() for event in node.events]) == []


def test_an_event_in_front_of_that_gap_and_one_of_another_file_still_need_a_seal() -> None:
    node = killed_node(deleted=True)
    shipped = [event for event in node.events if b"heartbeat" not in event.message]
    forged = shipped[0].message.replace(b':0"', b':1"')

    result = audited([*node.events, shipped[0]._replace(message=forged)], node.now_ms)

    assert forged != shipped[0].message
    assert Kind.COUNT_DIFFERS in problems(result)


def test_a_file_that_is_read_on_after_a_gap_needs_a_seal_for_each_event() -> None:
    node = killed_node(deleted=False)
    result = audited(node.events, node.now_ms)

    assert problems(result) == {}
    assert Kind.IN_A_GAP not in kinds(result)
