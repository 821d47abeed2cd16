"""Gives events that CloudWatch rejected because of their time the time of their delivery instead.

Processing adjusts times that are outside the window then. A batch may become too old later, while CloudWatch does not
answer for days; and the retention of a log group may be shorter than the configuration says. CloudWatch names these
events in its reply. The message of an alert says that the time is not its own:
`"falcowatch":{…,"time":"delivery: …"}`.
"""

from __future__ import annotations

from typing import Final

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.span import Span, escaped

TIME_REASONS: Final = frozenset({"too_old", "expired", "too_new"})
"""The reasons for which an event may be sent again under another time."""

_NOTES: Final = {
    reason: f',"time":"delivery: CloudWatch rejected the alert\'s time as {reason}"' for reason in sorted(TIME_REASONS)
}

_FALCOWATCH: Final = escaped('"falcowatch":{')

_TIME: Final = escaped('"time":"')


def redated(batch: Batch, reason: str, now_ms: int) -> tuple[list[Span], Batch | None]:
    """The events of a rejected batch, as spans to be sent again; and those that were sent again once already.

    The spans settle in the same ledger entries. Each event gets another time only once, so no event is sent for ever.
    """
    spans: list[Span] = []
    rest: list[Part] = []
    for part in batch.parts:
        if part.span.redated or reason not in TIME_REASONS:
            rest.append(part)
            continue
        span = part.span.selected(range(part.start, part.stop))
        span.redated = True
        span.timestamps = [now_ms] * len(span)
        if not span.own:
            # The next seal names the digest of the last one, so the bytes of an own event never change.
            for at in range(len(span)):
                _add_note(span, at, _NOTES[reason])
        spans.append(span)
    return spans, Batch(rest) if rest else None


def _add_note(span: Span, at: int, note: str) -> None:
    """Puts the note at the end of the `falcowatch` object, with which every message ends."""
    pieces = span.ends if span.ends[at] else span.texts
    whole = pieces[at]
    is_noted = _TIME in whole[max(0, whole.rfind(_FALCOWATCH)) :]
    if not whole.endswith(b"}}") or is_noted or span.sizes[at] + len(note) > LARGEST_MESSAGE_BYTES:
        return
    pieces[at] = whole[:-2] + escaped(note) + b"}}"
    span.sizes[at] += len(note)
