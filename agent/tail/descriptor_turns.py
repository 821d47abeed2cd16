"""More log files than descriptors: files give way to each other, so that every log is read in turn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agent.tail.descriptor_choice import choose
from agent.tail.tailer import Tailer
from agent.tail.types import Source

PATIENCE_SECONDS: Final = 60.0
"""If a log waits longer for a descriptor, the agent reports that it cannot read all logs."""

REMEDY: Final = "raise the limit of open files of the container or service (LimitNOFILE)"

log = logging.getLogger(__name__)


class DescriptorTurns:
    """Shares the file descriptors among the files of all sources."""

    def __init__(self, lacking: asyncio.Event) -> None:
        """`lacking`: is set while files wait."""
        self.waiting = 0
        """Files that were not opened at the last scan, because too few descriptors are left."""
        self.made_room = False
        """Some files were closed since the last scan."""
        self._was_said = False
        self._has_paused = False
        self._lacking = lacking
        self._waiting_since: dict[Source, float] = {}

    def in_turn(self, tailers: Mapping[Source, Tailer]) -> Iterable[tuple[Source, Tailer]]:
        """The order in which sources may open files: those that gave way longest ago first."""
        if not self.waiting:
            return tailers.items()
        return sorted(tailers.items(), key=lambda item: item[1].gave_way_at)

    def make_room(self, tailers: Sequence[Tailer]) -> None:
        """After a scan: closes files for those that wait. They are opened by the next scan."""
        now = time.monotonic()
        lacking = [tailer for tailer in tailers if tailer.lacking]
        self._waiting_since = {tailer.source: self._waiting_since.get(tailer.source, now) for tailer in lacking}
        self.waiting, self.made_room = sum(tailer.lacking for tailer in lacking), False
        if self._has_paused:
            for tailer in tailers:
                tailer.resume()
        self._has_paused = False
        if not self.waiting:
            self._lacking.clear()
            return
        self._lacking.set()
        if not self._was_said:
            log.warning(
                "more log files than file descriptors: they are read in turn",
                extra={"waiting": self.waiting, "remedy": REMEDY},
            )
            self._was_said = True
        choice = choose([file for tailer in tailers for file in tailer.open_files()], self.waiting, now)
        for file in choice.close:
            file.close()
        for file in choice.pause:
            file.pause()
        self._has_paused = bool(choice.pause)
        self.made_room = bool(choice.close)

    @property
    def problem(self) -> str | None:
        """Some log has waited for too long. None: all are read, if need be in turn."""
        now = time.monotonic()
        late = sum(now - since >= PATIENCE_SECONDS for since in self._waiting_since.values())
        return (
            f"{late} logs have waited for a free file descriptor for {PATIENCE_SECONDS:.0f} s; {REMEDY}"
            if late
            else None
        )
