"""What to do with a file that a scan has found, from what is known of it: a pure decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.tail.checkpoint import Position
from agent.tail.fingerprint import digest
from agent.tail.judgement import (
    Action,
    GoOnIn,
    Held,
    IsAlias,
    Known,
    NotOurs,
    Postpone,
    Read,
    ReadMarker,
    Remember,
    Seen,
    Settle,
    Skip,
    WaitForMore,
    judge,
)

SEEN = Seen("id", size=100)
NOTHING = Known({}, frozenset(), {}, {})
HERE = Position("/a.log", 50, 80, marker=digest(b"same"))
KNOWN = replace(NOTHING, positions={"id": HERE}, markers={50: b"same"})
OTHER = replace(NOTHING, positions={"id": HERE}, markers={50: b"other"})
HELD = Held(needs_a_copy=False, marker_offset=30, marker=digest(b"held"))


@pytest.mark.parametrize(
    ("seen", "known", "actions"),
    [
        (Seen(None), NOTHING, [WaitForMore()]),
        (Seen(None, rotated=True), NOTHING, [Settle("")]),
        (Seen(None, gone=True), NOTHING, [Settle("")]),
        (SEEN, NOTHING, [Read("id")]),
        (replace(SEEN, ours=False, rotated=True), NOTHING, [NotOurs("id"), Settle("id")]),
        (replace(SEEN, ours=False), NOTHING, [Read("id")]),
        (SEEN, replace(NOTHING, open_elsewhere={"id"}), [Skip()]),
        (SEEN, replace(KNOWN, markers={}), [Remember(), ReadMarker(50)]),
        (SEEN, KNOWN, [Remember(), Read("id", HERE)]),
        (SEEN, OTHER, [Remember(), Read("id-2")]),
        (replace(SEEN, size=20), OTHER, [Remember(), Read("id-2", from_end=True)]),
        (replace(SEEN, size=20, growing=True), OTHER, [Remember(), Postpone(50)]),
        (replace(SEEN, compressed=True, growing=True), NOTHING, [Postpone()]),
        (replace(SEEN, compressed=True, growing=True), KNOWN, [Remember(), Postpone(50)]),
        (SEEN, replace(NOTHING, held={"id": HELD}), [IsAlias("id")]),
        (replace(SEEN, has_stamp=False), replace(NOTHING, held={"id": HELD}), [ReadMarker(30)]),
        (replace(SEEN, has_stamp=False), replace(NOTHING, held={"id": HELD}, markers={30: b"held"}), [IsAlias("id")]),
        (replace(SEEN, has_stamp=False), replace(NOTHING, held={"id": HELD}, markers={30: b"x"}), [Read("id-2")]),
    ],
)
def test_each_case_has_its_actions(seen: Seen, known: Known, actions: list[Action]) -> None:
    assert list(judge(seen, known)) == actions


def test_an_open_file_that_needs_a_copy_goes_on_in_it_when_the_bytes_are_the_same() -> None:
    held = {"id": replace(HELD, needs_a_copy=True)}

    assert judge(SEEN, replace(NOTHING, held=held)) == (ReadMarker(30),)
    assert judge(SEEN, replace(NOTHING, held=held, markers={30: b"held"})) == (GoOnIn("id"),)
    assert judge(SEEN, replace(NOTHING, held=held, markers={30: b"x"})) == (IsAlias("id"),)


def test_a_complete_rotated_file_is_settled_unless_it_has_grown() -> None:
    complete = replace(HERE, complete=True)
    known = replace(KNOWN, positions={"id": complete})

    assert judge(replace(SEEN, rotated=True, size=50), known) == (Remember(), Settle("id"))
    assert judge(replace(SEEN, rotated=True, size=51), known) == (Remember(), Read("id", complete))
    assert judge(replace(SEEN, size=50), known) == (Remember(), Read("id", complete))


def test_a_file_that_was_there_before_the_agent_stays_settled_whatever_its_size() -> None:
    known = replace(NOTHING, positions={"id": Position("/a.log", 0, complete=True)})

    assert judge(replace(SEEN, rotated=True), known) == (Remember(), Settle("id"))


positions = st.builds(
    Position,
    path=st.just("/a.log"),
    offset=st.integers(0, 200),
    size=st.integers(0, 200),
    complete=st.booleans(),
    marker=st.sampled_from(["", digest(b"same"), digest(b"other")]),
)
held_markers = st.sampled_from(["", digest(b"same")])
numbered = st.sampled_from(["id", "id-2", "id-3"])


@given(
    seen=st.builds(
        Seen,
        base_id=st.sampled_from([None, "id"]),
        has_stamp=st.booleans(),
        rotated=st.booleans(),
        compressed=st.booleans(),
        gone=st.booleans(),
        ours=st.booleans(),
        size=st.integers(0, 200),
        growing=st.booleans(),
    ),
    known=st.builds(
        Known,
        held=st.dictionaries(
            numbered, st.builds(Held, st.booleans(), st.integers(0, 200), st.sampled_from(["", digest(b"same")]))
        ),
        open_elsewhere=st.frozensets(numbered),
        positions=st.dictionaries(numbered, positions),
        markers=st.just({}),
    ),
    truth=st.sampled_from([b"same", b"other"]),
)
def test_reading_the_markers_that_are_asked_for_always_leads_to_a_decision(
    seen: Seen, known: Known, truth: bytes
) -> None:
    markers: dict[int, bytes] = {}
    for _ in range(10):
        *_, last = judge(seen, replace(known, markers=markers))
        if not isinstance(last, ReadMarker):
            break
        assert last.offset not in markers
        markers[last.offset] = truth

    assert not isinstance(last, ReadMarker | Remember | NotOurs)
    if isinstance(last, Read):
        assert last.file_id not in known.held
        assert last.file_id not in known.open_elsewhere
