"""Spans for the tests of batches."""

from agent.core.batching.pending import PendingSpans
from agent.core.batching.span import Span


def span_of(*events: tuple[int, str], size: int | None = None) -> Span:
    span = Span(read_at=1.0)
    for offset, (time_ms, message) in enumerate(events):
        span.append(time_ms, message.encode(), offset)
        if size is not None:
            span.sizes[-1] = size
    return span


def waiting_of(*spans: Span) -> PendingSpans:
    waiting = PendingSpans()
    for span in spans:
        waiting.add(span)
    return waiting
