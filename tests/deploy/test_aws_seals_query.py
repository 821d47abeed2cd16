"""The saved query "seals" of the stack, run by the embedded CloudWatch on the events of a whole chain of seals."""

from __future__ import annotations

import pytest

from agent.local.emulator.insights import Row, run_query
from agent.local.emulator.store import StoredEvent
from tests.audit.history import Node
from tests.deploy.test_aws_queries import QUERIES, fields_of


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    node = Node()
    for _ in range(2):
        node.write(3)
        node.read(3)
        node.seal()
    node.leave()
    events = [StoredEvent(one.time_ms, one.message, one.ingested_ms, one.stream) for one in node.events]
    return run_query(QUERIES["Falco/eks-managed-cluster/seals"], events)


def test_each_seal_is_one_row_and_the_newest_comes_first(rows: list[Row]):
    numbers = [row["seal.number"] for row in rows]

    assert numbers == sorted(numbers, key=lambda number: -int(str(number)))
    assert numbers[-1] == 1
    assert len({row["seal.chain"] for row in rows}) == 1


def test_the_rows_show_how_the_chain_began_and_that_the_agent_has_left(rows: list[Row]):
    assert rows[-1]["seal.begins"] == "first start"
    assert rows[0]["seal.leaving"]


def test_every_field_of_the_query_is_in_some_seal(rows: list[Row]):
    fields = {field for field in fields_of(QUERIES["Falco/eks-managed-cluster/seals"]) if field.startswith("seal.")}

    assert {field for field in fields if not any(row.get(field) not in (None, "") for row in rows)} == set()
