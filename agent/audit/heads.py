"""Compares seals with Prometheus, which remembers the number and the head of each seal that an agent sent.

The head is the first 48 bits of the SHA-256 of the seal's message. A person who can delete or replace events in
CloudWatch would have to change Prometheus as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.audit.chains import SLACK_MS, SealedTime
from agent.audit.findings import Findings
from agent.audit.kinds import Kind
from agent.core.proof.seal import head_of
from agent.web.figures import count, moment

NUMBER_METRIC = "falcowatch_seal_number"
HEAD_METRIC = "falcowatch_seal_head"


@dataclass(frozen=True, slots=True)
class Head:
    """One seal as Prometheus remembers it."""

    number: int
    head: int
    seen_ms: int
    """The time at which Prometheus saw the seal first."""


class Heads:
    """Implements SealedHeads."""

    def __init__(self, by_node: Mapping[str, Iterable[Head]]) -> None:
        self._by_node = {node: sorted(heads, key=lambda one: one.number) for node, heads in by_node.items()}

    @property
    def nodes(self) -> list[str]:
        return sorted(self._by_node)

    def check(self, node: str, time: SealedTime, until_ms: int, findings: Findings) -> None:
        held: dict[int, set[int]] = {}
        for seal in time.seals:
            held.setdefault(seal.number, set()).add(head_of(seal.digest))
        first = time.seals[0] if time.seals else None
        for one in self._by_node.get(node, ()):
            if first is not None and one.number < first.number and one.seen_ms < first.seen_ms + SLACK_MS:
                continue  # the seal is older than the data
            where, detail = f"seal {count(one.number)}", f"seen by Prometheus at {moment(one.seen_ms / 1000)}"
            known = held.get(one.number)
            if known is None:
                is_old = time.is_old(one.seen_ms, until_ms)
                findings.add(Kind.HEAD_MISSING if is_old else Kind.HEAD_NOT_HERE_YET, where, detail, at_ms=one.seen_ms)
            elif one.head not in known:
                findings.add(Kind.HEAD_DIFFERS, where, detail, at_ms=one.seen_ms)


def heads_from(numbers: object, heads: object) -> dict[str, list[Head]]:
    """The heads of each node, from the answers to two range queries. Raises ValueError for an answer of another form.

    A scrape brings both gauges at once, so the two values of one moment belong to one seal.
    """
    by_series = {series: dict(values) for series, values in _series(heads)}
    found: dict[str, dict[tuple[int, int], int]] = {}
    for series, values in _series(numbers):
        labels = dict(series)
        node = labels.get("node", labels.get("instance", ""))
        of_node = found.setdefault(node, {})
        at_these_times = by_series.get(series, {})
        for seconds, number in values:
            head = at_these_times.get(seconds)
            if head is not None and number >= 1:
                key = int(number), int(head)
                of_node[key] = min(of_node.get(key, int(seconds * 1000)), int(seconds * 1000))
    return {
        node: [Head(number, head, seen_ms) for (number, head), seen_ms in heads.items()]
        for node, heads in found.items()
    }


def _series(answer: object) -> Iterable[tuple[frozenset[tuple[str, str]], list[tuple[float, float]]]]:
    try:
        assert isinstance(answer, dict)
        if answer["status"] != "success":
            raise ValueError(str(answer.get("error", "no success")))
        for one in answer["data"]["result"]:
            labels = frozenset((str(key), str(value)) for key, value in one["metric"].items() if key != "__name__")
            values = [(float(seconds), float(value)) for seconds, value in one["values"]]
            yield labels, [pair for pair in values if math.isfinite(pair[0]) and math.isfinite(pair[1])]
    except (AssertionError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("the answer has not the form of a range query") from error
