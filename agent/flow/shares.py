"""Which share of the budget the lanes may take, so that a lane that is stuck does not keep the others. Pure.

Two ways of reading share the budget. Ordinary reading takes every record in the order of the file. The urgent scan goes
ahead and takes urgent records only; a part of the budget is reserved for it. When the routine lane is stuck, ordinary
reading stops, and the urgent scan must go on without it. When the urgent lane is stuck, the urgent scan must not fill
the budget with records that cannot be sent, because ordinary reading could not go on.
"""

from __future__ import annotations

from typing import Final

STUCK_SECONDS: Final = 0.1
"""Ordinary reading that has waited for the budget for so long counts as stuck. Usually it waits for a few milliseconds,
also when a backlog is read at full speed."""

SCAN_SHARE: Final = 4
"""The urgent scan stops while the urgent lane holds one quarter of the budget."""


def must_scan_ahead(unread_bytes: int, backlog_bytes: int, waiting_seconds: float) -> bool:
    """Whether urgent records must be searched ahead of ordinary reading.

    `backlog_bytes` is the length of a backlog from which on this is worthwhile. `waiting_seconds`: for how long
    ordinary reading has waited for the budget without getting any.
    """
    return unread_bytes > backlog_bytes or (unread_bytes > 0 and waiting_seconds >= STUCK_SECONDS)


def may_scan_ahead(urgent_bytes: int, limit_bytes: int) -> bool:
    """Whether the urgent scan may take more, when the urgent lane holds so much of the budget."""
    return urgent_bytes < limit_bytes // SCAN_SHARE
