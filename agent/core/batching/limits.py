"""The limits of one PutLogEvents request (API reference, read 2026-11)."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 1_048_576
"""Of a batch: the UTF-8 bytes of each message, plus 26 for each event. The escapes of JSON do not count."""

MOST_EVENTS: Final = 10_000

EVENT_OVERHEAD_BYTES: Final = 26

LARGEST_MESSAGE_BYTES: Final = MOST_BYTES - EVENT_OVERHEAD_BYTES
"""One event may fill a batch alone."""

LONGEST_SPAN_MS: Final = 24 * 3600 * 1000
"""Between the first and the last event of a batch there must be less than this."""
