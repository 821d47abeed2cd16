"""Publishes a heartbeat with the books at a fixed interval, so that an alarm on missing data needs CloudWatch alone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict

from agent.core.values import Lane
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.gaps import GapAnnouncer
from agent.web.report import Books


async def send_heartbeats(
    seconds: float,
    *,
    books: Callable[[], Books],
    gaps: GapAnnouncer,
    falco: Callable[[], Mapping[str, object]],
    publish: Callable[[OwnEvent], None],
) -> None:
    """Publishes the first heartbeat at once and the next ones every `seconds`, until cancelled; 0: none."""
    if not seconds:
        return
    for sequence in itertools.count(1):
        publish(_heartbeat(sequence, books(), gaps, falco()))
        await asyncio.sleep(seconds)


def _heartbeat(sequence: int, books: Books, gaps: GapAnnouncer, falco: Mapping[str, object]) -> OwnEvent:
    fields: dict[str, object] = {f"books.{name}": value for name, value in asdict(books).items()}
    fields |= {"gap.count": gaps.count, "gap.bytes": gaps.bytes, "heartbeat.sequence": sequence, **falco}
    # A metric filter cannot name a key with a dot in it, so the text repeats the numbers, always in this order.
    output = (
        f"read {books.read}, shipped {books.shipped}, filtered {books.filtered}, rejected {books.rejected}, "
        f"in flight {books.in_flight}, gaps {gaps.count}"
    )
    if "falco.state" in falco:
        output += f", Falco {falco['falco.state']}"
    return OwnEvent("heartbeat", "Informational", output, fields, Lane.ROUTINE)
