"""The limits of PutLogEvents (API reference, read 2026-11)."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 1_048_576


MOST_EVENTS: Final = 10_000


EVENT_OVERHEAD_BYTES: Final = 26


LARGEST_MESSAGE_BYTES: Final = MOST_BYTES - EVENT_OVERHEAD_BYTES


LONGEST_SPAN_MS: Final = 24 * 3600 * 1000
