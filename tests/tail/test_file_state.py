"""The life of a file as a table: every transition, what follows from time, and random walks over both."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from agent.tail.file_state import (
    LATE_SECONDS,
    LOOKS_FOR_A_COPY,
    ORPHAN_SECONDS,
    SETTLE_SECONDS,
    TRANSITIONS,
    Facts,
    FileState,
    Happening,
    after,
    is_inside_a_record,
    may_be_closed,
    writer_has_left,
)

OPEN, DELETED, REPLACED = FileState.OPEN, FileState.DELETED, FileState.REPLACED
ENDED, ENDED_DELETED, ABANDONED = FileState.ENDED, FileState.ENDED_DELETED, FileState.ABANDONED


@pytest.mark.parametrize(
    ("happening", "outcomes"),
    [
        (Happening.SEEN, [OPEN, OPEN, REPLACED, ENDED, ENDED, ABANDONED]),
        (Happening.NOT_SEEN, [DELETED, DELETED, REPLACED, ENDED_DELETED, ENDED_DELETED, ABANDONED]),
        (Happening.OVERWRITTEN, [REPLACED, REPLACED, REPLACED, ABANDONED, ABANDONED, ABANDONED]),
        (Happening.COPY_OPENED, [OPEN, OPEN, OPEN, ENDED, ENDED_DELETED, ABANDONED]),
        (Happening.FINISHED, [ENDED, ENDED_DELETED, ABANDONED, ENDED, ENDED_DELETED, ABANDONED]),
        (Happening.GIVEN_UP, [ABANDONED] * 6),
    ],
)
def test_what_follows_in_each_state(happening: Happening, outcomes: list[FileState]) -> None:
    states = [OPEN, DELETED, REPLACED, ENDED, ENDED_DELETED, ABANDONED]

    assert [after(state, happening) for state in states] == outcomes


def test_the_table_names_every_state() -> None:
    assert TRANSITIONS.keys() == set(FileState)


@pytest.mark.parametrize(
    ("state", "facts", "now", "left"),
    [
        (OPEN, Facts(), 1e9, False),
        (OPEN, Facts(rotated=True), 0, True),
        (OPEN, Facts(compressed=True), 0, True),
        (OPEN, Facts(has_successor=True), 0, True),
        (DELETED, Facts(source_is_gone=True, has_writer=True), 1e9, False),
        (DELETED, Facts(source_is_gone=True, has_writer=False), 0, True),
        (DELETED, Facts(source_is_gone=True), ORPHAN_SECONDS - 1, False),
        (DELETED, Facts(source_is_gone=True), ORPHAN_SECONDS, True),
        (DELETED, Facts(source_is_gone=True, directory_is_gone=True), 0, True),
        (REPLACED, Facts(rotated=True), 1e9, False),
        (REPLACED, Facts(looks_since_replaced=LOOKS_FOR_A_COPY), SETTLE_SECONDS - 0.1, False),
        (REPLACED, Facts(looks_since_replaced=LOOKS_FOR_A_COPY), SETTLE_SECONDS, True),
        (ENDED, Facts(), 0, True),
    ],
)
def test_when_the_writer_has_left(state: FileState, facts: Facts, now: float, left: bool) -> None:
    assert writer_has_left(state, facts, now) is left


@pytest.mark.parametrize(
    ("state", "facts", "now", "closed"),
    [
        (ENDED, Facts(has_writer=False), LATE_SECONDS - 0.1, False),
        (ENDED, Facts(has_writer=False), LATE_SECONDS, True),
        (ENDED, Facts(has_writer=True), 1e9, False),
        (ENDED, Facts(), LATE_SECONDS, False),
        (ENDED, Facts(), ORPHAN_SECONDS, True),
        (ENDED_DELETED, Facts(has_writer=False), 0, True),
        (ENDED_DELETED, Facts(has_writer=True), 1e9, False),
        (ENDED, Facts(compressed=True), 0, True),
        (ABANDONED, Facts(has_writer=True), 0, True),
    ],
)
def test_when_a_file_may_be_closed(state: FileState, facts: Facts, now: float, closed: bool) -> None:
    assert may_be_closed(state, facts, now) is closed


def test_a_record_is_waited_for_only_briefly_and_only_where_it_can_come() -> None:
    assert is_inside_a_record(OPEN, Facts(), unfinished=True, now=0.5)
    assert not is_inside_a_record(OPEN, Facts(), unfinished=True, now=SETTLE_SECONDS)
    assert not is_inside_a_record(OPEN, Facts(), unfinished=False, now=0)
    assert not is_inside_a_record(REPLACED, Facts(), unfinished=True, now=0)
    assert not is_inside_a_record(OPEN, Facts(compressed=True), unfinished=True, now=0)


class Life(RuleBasedStateMachine):
    """A file to which anything happens at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = OPEN
        self.facts = Facts()
        self.now = 0.0
        self.finished = False

    @rule(happening=st.sampled_from([h for h in Happening if h is not Happening.FINISHED]))
    def happens(self, happening: Happening) -> None:
        before, self.state = self.state, after(self.state, happening)
        if before.is_readable and not self.state.is_readable:
            self.facts = replace(self.facts, active_at=self.now, looks_since_replaced=0)

    @rule(seconds=st.floats(0, 1000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(writer=st.sampled_from([True, False, None]))
    def the_kernel_answers(self, writer: bool | None) -> None:
        self.facts = replace(self.facts, has_writer=writer)

    @rule()
    def is_scanned(self) -> None:
        looks = self.facts.looks_since_replaced + (self.state is REPLACED)
        self.facts = replace(self.facts, looks_since_replaced=looks)

    @precondition(lambda self: writer_has_left(self.state, self.facts, self.now))
    @rule()
    def is_finished(self) -> None:
        self.state = after(self.state, Happening.FINISHED)
        self.finished = True

    @invariant()
    def an_ended_file_never_goes_on(self) -> None:
        assert not self.finished or self.state.has_ended

    @invariant()
    def an_abandoned_file_is_not_read(self) -> None:
        assert self.state is not ABANDONED or not self.state.is_readable

    @invariant()
    def a_file_that_somebody_writes_to_is_never_closed(self) -> None:
        writes = self.facts.has_writer and self.state in (ENDED, ENDED_DELETED)
        assert not (writes and may_be_closed(self.state, self.facts, self.now))

    @invariant()
    def only_a_file_that_is_not_read_to_its_end_needs_a_copy(self) -> None:
        assert not (self.state.needs_a_copy and self.state.has_ended)

    @invariant()
    def time_alone_ends_every_file_without_a_writer(self) -> None:
        if self.state is ENDED and not self.facts.has_writer:
            assert may_be_closed(self.state, self.facts, self.now + ORPHAN_SECONDS)


TestLife = Life.TestCase
