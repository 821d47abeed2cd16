"""Which alerts hold a key or a value that only the agent writes."""

import pytest

from agent.core.processing.reserved import reserved_in


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ('"kubernetes":{}', ["kubernetes"]),
        ('"falcowatch":null', ["falcowatch"]),
        ('"FalcoWatch":1', ["FalcoWatch"]),
        ('"\\u0066alcowatch":1', ["falcowatch"]),
        ('"falcowatch_":1,"falcowatch_kubernetes":1', ["falcowatch_", "falcowatch_kubernetes"]),
        ('"truncated":{"size":1,"sha256":"0"}', ["truncated"]),
        ('"log":"x","stream":"stdout"', ["log"]),
        ('"\\u006cog":"x"', ["log"]),
        ('"source":"falcowatch"', ["source"]),
        ('"source":"FALCOWATCH "', ["source"]),
        ('"Source":"falcowatch"', ["Source"]),
        ('"source":"falcowatch","source":"syscall"', ["source"]),
        ('"rule":"Falcowatch: heartbeat"', ["rule"]),
        ('"rule":"falcowatch: gap","rule":"x"', ["rule"]),
        ('"source":"syscall","output":"falcowatch kubernetes"', []),
        ('"output_fields":{"falcowatch":1,"kubernetes":{"source":"falcowatch"}}', []),
        ('"source":["falcowatch"]', []),
        ('"output":"\\u0000"', []),
        ('"kubernetes":' + "[" * 100_000, ["unreadable"]),
        ('"kubernetes":' + "9" * 5_000, ["unreadable"]),
    ],
)
def test_reserved_keys_are_found_in_any_spelling_at_the_top_level(more: str, found: list[str]) -> None:
    assert reserved_in(f'{{"rule":"R",{more}}}'.encode()) == found


def test_a_line_that_is_not_an_object_has_no_keys() -> None:
    assert reserved_in(b'["falcowatch"]') == []
