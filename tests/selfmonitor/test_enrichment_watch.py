"""Enrichment that fails for a while becomes one event, and its end another one."""

from __future__ import annotations

import pytest

from agent.selfmonitor.enrichment_watch import DOWN_SECONDS, EnrichmentWatch
from agent.selfmonitor.events import OwnEvent

FORBIDDEN = "the API server answers 403"


class Enrichment:
    """What the watch sees: the problem at each look."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.events: list[OwnEvent] = []
        self.watch = EnrichmentWatch(lambda: self.problem, self.events.append)

    def looks(self, *steps: tuple[float, str | None]) -> list[tuple[str, str]]:
        for now, self.problem in steps:
            self.watch.look(now)
        return [(event.kind, event.priority) for event in self.events]


@pytest.fixture
def enrichment() -> Enrichment:
    return Enrichment()


def test_a_failure_is_announced_once_with_its_reason_and_its_end_once(enrichment: Enrichment) -> None:
    steps = [(100.0 + 5 * number, FORBIDDEN) for number in range(300)]

    assert enrichment.looks((95.0, None), *steps) == [("enrichment down", "Critical")]
    assert enrichment.events[0].output.endswith(f"so alerts of new pods have none: {FORBIDDEN}")
    assert enrichment.events[0].fields == {"enrichment.down_seconds": DOWN_SECONDS}

    assert enrichment.looks((1600.0, None), (1605.0, None))[1:] == [("enrichment up", "Notice")]
    assert enrichment.events[1].fields == {"enrichment.down_seconds": 1500.0}


def test_a_failure_that_ends_in_time_is_not_announced(enrichment: Enrichment) -> None:
    assert enrichment.looks((0.0, FORBIDDEN), (DOWN_SECONDS - 1, FORBIDDEN), (DOWN_SECONDS, None)) == []


def test_two_short_failures_do_not_add_up(enrichment: Enrichment) -> None:
    half = DOWN_SECONDS / 2 + 1
    assert enrichment.looks((0.0, FORBIDDEN), (half, None), (half + 1, FORBIDDEN), (2 * half, FORBIDDEN)) == []


def test_another_reason_continues_the_same_failure(enrichment: Enrichment) -> None:
    kinds = enrichment.looks((0.0, FORBIDDEN), (DOWN_SECONDS, "no answer"), (2 * DOWN_SECONDS, FORBIDDEN))

    assert kinds == [("enrichment down", "Critical")]
