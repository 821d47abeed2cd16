"""Records of one file that were read, and whose delivery has failed: they are read again, and counted once.

When a delivery fails, the file is read again from the committed offset. Records that were handed over before are in
flight until they are settled, although their ledger was left. Records that were not handed over are in flight until
they are read again. So the books balance at every moment.
"""

from __future__ import annotations

from agent.core.reading.ledger import Ledger
from agent.core.reading.scan_ledger import ScanLedger


class Undelivered:
    def __init__(self) -> None:
        self._to_read = 0
        """Records that were not handed over, and that will be read again."""
        self._left: list[tuple[Ledger | ScanLedger, int]] = []
        """Ledgers that were left, each with the number of its records that were not handed over."""

    def leave(self, ledger: Ledger | ScanLedger, failed: int) -> None:
        """Reading begins again with another ledger. `failed`: so many records of this one were not handed over."""
        self._to_read += failed
        self._left = [(each, never) for each, never in self._left if each.in_flight > never]
        if ledger.in_flight > failed:
            self._left.append((ledger, failed))

    def take_back(self, records: int) -> int:
        """So many records are read. Returns how many of them were counted before."""
        counted = min(records, self._to_read)
        self._to_read -= counted
        return counted

    @property
    def in_flight(self) -> int:
        """Records that no current ledger knows, and that are neither shipped nor read again yet."""
        return self._to_read + sum(ledger.in_flight - never for ledger, never in self._left)
