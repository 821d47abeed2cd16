"""A forged event in a range that two runs of the agent have read."""

from __future__ import annotations

from agent.audit.kinds import Kind
from tests.audit.audited import audited, problems
from tests.audit.history import Node, changed
from tests.audit.test_command import HOUR_MS
from tests.audit.test_mutations import id_of, records


def test_an_event_that_was_forged_after_a_restart_is_too_many_for_the_run_that_sealed_the_range():
    node = Node()
    node.write(4)
    node.read(4)
    node.kill()
    node.read(4)
    node.seal()
    node.write(4)
    node.read(4)
    node.seal()
    node.leave()
    real = node.events[records(node)[1]]
    offset = id_of(real).rpartition(":")[2]
    forged = changed(real, f":{offset}".encode(), f":{int(offset) + 1}".encode())
    node.events.append(forged._replace(ingested_ms=node.now_ms))

    found = problems(audited(node.events, node.now_ms + HOUR_MS))

    assert set(found) == {Kind.COUNT_DIFFERS}
