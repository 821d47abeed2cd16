"""The id of a record is read out of the event that carries the record, and out of nothing else."""

from __future__ import annotations

import pytest

from agent.core.event_id import RecordId, record_id


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"a":1,"falcowatch":{"id":"f00:12","node":"n"}}', RecordId("f00", 12)),
        ('{"a":",\\"falcowatch\\":{","falcowatch":{"id":"f00:12"}}', RecordId("f00", 12)),
        ('{"source":"falcowatch","rule":"Falcowatch: gap","falcowatch":{"node":"n"}}', None),
        ('{"falcowatch":{"id":"f00:12"},"more":1}', None),
        ("not an event", None),
        ("", None),
    ],
)
def test_only_an_event_made_from_a_record_has_an_id(message, expected):
    assert record_id(message) == expected
