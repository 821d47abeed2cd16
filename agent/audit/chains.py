"""Checks the chains of one node: numbers, previous digests, restarts, and how the newest one ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from agent.audit.findings import Findings
from agent.audit.history import HeldSeal
from agent.audit.kinds import Kind
from agent.web.figures import count, moment, plural

USUAL_HEARTBEAT_MS = 300_000
"""`heartbeat_seconds` when no two seals show another interval."""

LONGEST_HEARTBEAT_MS = 86_400_000
SHORTEST_HEARTBEAT_MS = 1_000

USUAL_BEGINNINGS = ("first start", "no seal before")
KEY_SET = "key set"
"""The reason in the first seal of a chain that begins because an administrator has given the agent a key."""

SLACK_MS = 5_000
"""The largest difference between the clocks of the node and of CloudWatch that is no finding."""


@dataclass(frozen=True, slots=True)
class SealedTime:
    """The statements about time in the seals of a node."""

    seals: Sequence[HeldSeal]
    heartbeat_ms: int
    """The longest interval between two seals of one life of the agent."""
    settled_to_ms: int
    """Two seals after this time say that nothing is in flight. So a record of then is committed and sealed."""
    first_numbers: Mapping[str, int]
    """Chain → the number of its first seal that is in the data."""

    @property
    def begins_inside(self) -> bool:
        """The data holds the first seal of the node's first chain."""
        return bool(self.seals) and self.seals[0].number == 1

    def is_old(self, seen_ms: int, until_ms: int) -> bool:
        """Older than two heartbeats."""
        return seen_ms < self.open_from_ms(until_ms)

    def open_from_ms(self, until_ms: int) -> int:
        """The seal of an event that was ingested later is not due yet."""
        return until_ms - 2 * self.heartbeat_ms

    def unsealed_from_ms(self, until_ms: int) -> int:
        """An event that was ingested later may have no seal yet: it is not due, or the agent is behind since then."""
        is_behind = max(self.seals, key=lambda seal: seal.seen_ms).in_flight > 0
        return min(self.open_from_ms(until_ms), self.settled_to_ms) if is_behind else self.open_from_ms(until_ms)


def sealed_time(seals: Sequence[HeldSeal]) -> SealedTime:
    intervals = [
        after.time_ms - before.time_ms
        for before, after in pairwise(seals)
        if before.chain == after.chain and before.number + 1 == after.number and before.started_ms == after.started_ms
    ]
    longest = max(intervals, default=USUAL_HEARTBEAT_MS)
    heartbeat_ms = min(max(longest, SHORTEST_HEARTBEAT_MS), LONGEST_HEARTBEAT_MS)
    # One seal may leave statements to the next one. The seal of an agent that leaves has no next one.
    quiet = sorted(seal.seen_ms for seal in seals for _ in range(1 + seal.leaving) if not seal.in_flight)
    settled_to_ms = quiet[-2] - SLACK_MS if len(quiet) > 1 else 0
    first_numbers: dict[str, int] = {}
    for seal in seals:
        first_numbers.setdefault(seal.chain, seal.number)
    return SealedTime(seals, heartbeat_ms, settled_to_ms, first_numbers)


def check_chains(seals: Sequence[HeldSeal], findings: Findings, *, has_key: bool = False) -> None:
    """`seals` are in the order of NodeHistory.seals. `has_key`: the codes of the seals are checked."""
    for position, (_, members) in enumerate(groupby(seals, key=lambda seal: seal.chain)):
        _check_chain([*members], findings, is_first=position == 0, has_key=has_key)


def check_ending(time: SealedTime, until_ms: int, findings: Findings) -> None:
    """Whether the agent left, runs, or stopped without a word."""
    last = max(time.seals, key=lambda seal: seal.seen_ms)
    if last.leaving:
        return
    kind = Kind.NODE_STOPPED if time.is_old(last.seen_ms, until_ms) else Kind.NODE_RUNNING
    findings.add(
        kind, f"seal {last.number}", f"the last seal is of {_at(last)}", stream=last.stream, at_ms=last.time_ms + 1
    )


def _check_chain(seals: list[HeldSeal], findings: Findings, *, is_first: bool, has_key: bool) -> None:
    first = seals[0]
    if first.number > 1:
        findings.add(
            Kind.BEFORE_THE_DATA,
            f"seal {count(first.number)}",
            f"the first seal in the data is of {_at(first)}",
            stream=first.stream,
        )
    for seal in (seal for seal in seals if seal.number == 1):
        if seal.begins == KEY_SET and seal.mac and has_key:
            _add(findings, Kind.KEY_SET, seal, "its code is checked like that of each seal")
        elif not is_first or seal.begins not in USUAL_BEGINNINGS:
            why = f"the new chain says: {seal.begins}" if seal.begins else "the new chain does not say why"
            _add(findings, Kind.CHAIN_RESTARTED, seal, why)
        if seal.previous:
            _add(findings, Kind.CHAIN_BROKEN, seal, "the first seal of a chain names a seal before it")
    if not is_first and first.number > 1:
        _add(findings, Kind.CHAIN_RESTARTED, first, "the beginning of the second chain is not in the data")
    before: list[HeldSeal] = []
    for _, group in groupby(seals, key=lambda seal: seal.number):
        same = [*group]
        _check_step(before, same, findings)
        before = same


def _check_step(before: list[HeldSeal], same: list[HeldSeal], findings: Findings) -> None:
    """`same`: the seals with one number, which is the next one after that of `before`."""
    seal = same[0]
    for other in same[1:]:
        _add(findings, Kind.NODE_REWOUND, other, f"the other one is of {_at(seal)} in {seal.stream}")
    if not before:
        return
    missing = seal.number - before[0].number - 1
    if missing:
        first, last = before[0].number + 1, seal.number - 1
        which = f"seal {count(first)}" if missing == 1 else f"seals {count(first)} to {count(last)}"
        findings.add(
            Kind.SEAL_MISSING,
            f"chain {seal.chain}, {which}",
            f"{plural(missing, 'seal')} between {_at(before[0])} and {_at(seal)}",
            stream=seal.stream,
            at_ms=seal.time_ms,
            count=missing,
        )
        return
    known = {one.digest for one in before}
    for one in same:
        if one.previous not in known:
            _add(findings, Kind.CHAIN_BROKEN, one, f"seal {one.number - 1} has another digest than it names")
    last_of_life, first_of_life = before[-1], seal
    if first_of_life.settings != last_of_life.settings:
        _add(findings, Kind.SETTINGS_CHANGED, seal, f"from {last_of_life.settings} to {first_of_life.settings}")
    if first_of_life.started_ms != last_of_life.started_ms and not last_of_life.leaving:
        _add(findings, Kind.RESTARTED, seal, f"it started at {moment(seal.started_ms / 1000)}")


def _add(findings: Findings, kind: Kind, seal: HeldSeal, detail: str) -> None:
    findings.add(kind, f"chain {seal.chain}, seal {count(seal.number)}", detail, stream=seal.stream, at_ms=seal.time_ms)


def _at(seal: HeldSeal) -> str:
    return moment(seal.time_ms / 1000)
