"""The bytes of records whose last part has not come, over all files: they count in the budget and are bounded.

Reading may wait for the budget, and only reading brings the last part of a record. So these bytes never take more than
half of the budget: beyond that, the largest partial records are shipped as they are, marked as incomplete, and long
unfinished lines end where they were read to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent.flow.budget import Budget
from agent.tail.file_records import FileRecords

Close = Callable[[], Awaitable[None]]


class PartialBytes:
    """Shared by all tailers."""

    def __init__(self, budget: Budget, max_record_bytes: int) -> None:
        self._budget = budget
        # One record of the largest size is never cut, however small the budget is.
        self._limit_bytes = max(budget.limit_bytes // 2, max_record_bytes)
        self._held: dict[FileRecords, tuple[int, Close]] = {}
        self.total_bytes = 0

    def note(self, file: FileRecords, close: Close) -> None:
        """Something of the file was read. `close` ships its partial records as they are. Never waits."""
        held = file.held_bytes
        if held or file in self._held:
            self._charge(file, held)
            if held:
                self._held[file] = (held, close)

    def release(self, file: FileRecords) -> None:
        """The file is closed."""
        if file in self._held:
            self._charge(file, 0)

    async def bound(self) -> None:
        """Ships the largest partial records while all of them are too large."""
        while self.total_bytes > self._limit_bytes:
            candidates = [file for file in self._held if file.can_be_cut]
            if not candidates:
                return  # only unfinished lines, each no longer than a part
            await self._held[max(candidates, key=lambda file: file.held_bytes)][1]()

    def _charge(self, file: FileRecords, held: int) -> None:
        before, _ = self._held.pop(file, (0, None))
        self.total_bytes += held - before
        self._budget.adjust_partial(held - before)
