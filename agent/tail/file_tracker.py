"""Takes a source's files in hand: which of those that were found are to be read, and from where.

Every file that is ours is opened at first sight, long before its turn to be read comes: what kubelet
deletes meanwhile stays readable. A file is known again by its id wherever rotation has moved it, and by
the bytes before its committed offset; where those differ, it is another log that begins like it.
"""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Callable
from typing import Final

from agent.core.reading.line_formats import Plain, recognise
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.content import DamagedLog, LogBytes, open_log
from agent.tail.fingerprint import digest, identify
from agent.tail.tracked_file import TrackedFile, Turn
from agent.tail.types import FoundFile, Source

_OLDEST: Final[Turn] = ("", -1)

COPYING_SECONDS: Final = 5.0
"""A copy that has not grown for so long is not being made any more."""


class FileTracker:
    """For one source. `positions` and `followed` are those of all."""

    def __init__(
        self,
        source: Source,
        settings: Tail,
        positions: dict[str, Position],
        followed: set[str],
        complain: Callable[[OSError], None],
    ) -> None:
        self.settled: dict[FoundFile, str] = {}
        """Rotated files with nothing left to read, by their id."""
        self.unsure = False
        """At the last look some file could not be opened; what is known may still be there."""
        self.recognised = False
        """One of the files was known, so none between it and the newest can be missing: the oldest go first."""
        self._source = source
        self._settings = settings
        self._positions = positions
        self._followed = followed
        self._complain = complain
        self._looked = False
        self._newest = ""
        """The last rotation that was seen."""
        self._young: dict[tuple[int, int], tuple[FoundFile, LogBytes]] = {}
        """Files in which too little stands yet to tell which they are, open, by device and inode."""
        self._confirmed_young: set[tuple[int, int]] = set()
        self._missed: Turn | None = None
        """The turn of the first file that had another name by the time it was to be opened; those after it wait."""
        self._is_through = False
        """The files found last were gone through, so another look may tell more."""

    def take(self, found: tuple[FoundFile, ...], files: list[TrackedFile], *, at_end: bool, fresh: bool = True) -> None:
        """Opens what is new among the files found and appends it to `files`, oldest first.

        `fresh`: they were found just now, not at an earlier look.
        """
        self.unsure = False
        self._missed = None
        self._is_through = False
        before = list(files) if fresh else []
        if fresh:
            seen_again = {(seen.device, seen.inode) for seen in found}
            self._confirmed_young = {key for key in self._young if key in seen_again}
        self.settled = {seen: file_id for seen, file_id in self.settled.items() if seen in found}
        try:
            self._look_at_the_young(found, files)
            ours = 0 if self._looked else self._first_of_ours(found, at_end)
            for number, seen in enumerate(found):
                if seen not in self.settled and not self._is_in_hand(seen, files):
                    self._missed = self._turn_of(seen, found)
                    self._take(seen, None, files, ours=number >= ours, at_end=at_end and not self._looked)
                    self._missed = None
        except FileNotFoundError:
            # Renamed or compressed since the look. Those after it wait, since they are read in order.
            self.unsure = True
            self._missed = self._missed or _OLDEST
        else:
            self._looked = True
        self._order(found, files)
        self._confirm(found, before)
        self._is_through = True

    def may_begin(self, file: TrackedFile) -> bool:
        """Whether nothing that is older can still turn up."""
        return file.confirmed and (self._missed is None or file.turn < self._missed)

    def wants_another_look(self, files: list[TrackedFile]) -> bool:
        """The next look is worth making at once: some file waits for it to begin."""
        waits = self._missed is not None or any(not file.confirmed for file in files)
        return self._is_through and (waits or bool(self._young.keys() - self._confirmed_young))

    @property
    def is_waiting(self) -> bool:
        """There is a file that the next write may tell us the name of."""
        return bool(self._young)

    def close(self) -> None:
        for _, content in self._young.values():
            content.close()
        self._young.clear()

    def release(self, file: TrackedFile) -> None:
        """It is closed; what of it was settled stays known."""
        self._positions[file.id] = file.position
        self._followed.discard(file.id)

    def _order(self, found: tuple[FoundFile, ...], files: list[TrackedFile]) -> None:
        """Those whose turn has not come, oldest first, also where one was found later than the next.

        A file that was renamed and compressed between two looks is found again by its twin; until then, and where
        it was deleted, it stands where it stood when it was last seen: after all that had been rotated by then.
        """
        begun = sum(file.begun for file in files)
        self._newest = max([self._newest, *(seen.rotated for seen in found)])
        places = {(seen.device, seen.inode): seen for seen in found}
        for file in files:
            seen = places.get((file.found.device, file.found.inode)) or places.get(file.twin)
            if seen is not None:
                file.turn = self._turn_of(seen, found)
        files[begun:] = sorted(files[begun:], key=lambda file: file.turn)

    def _turn_of(self, seen: FoundFile, found: tuple[FoundFile, ...]) -> Turn:
        return (seen.rotated, 0) if seen.rotated else (max([self._newest, *(other.rotated for other in found)]), 1)

    def _confirm(self, found: tuple[FoundFile, ...], before: list[TrackedFile]) -> None:
        """Files that were open before this look stand where it saw them.

        A file that was opened after the look may be a younger one: its name and its inode may both have been given
        anew in between. While it is open its inode is its own.
        """
        seen_again = {(seen.device, seen.inode) for seen in found}
        for file in before:
            if self._missed is None or {(file.found.device, file.found.inode), file.twin} & seen_again:
                file.confirmed = True

    def _is_in_hand(self, seen: FoundFile, files: list[TrackedFile]) -> bool:
        return (seen.device, seen.inode) in self._young or any(file.is_same(seen) for file in files)

    def _look_at_the_young(self, found: tuple[FoundFile, ...], files: list[TrackedFile]) -> None:
        for key, (seen, content) in list(self._young.items()):
            now = next((other for other in found if (other.device, other.inode) == key), None)
            del self._young[key]
            held = len(files)
            self._take(now or seen, content, files, gone=now is None)
            for file in files[held:]:
                file.confirmed = key in self._confirmed_young

    def _take(
        self,
        seen: FoundFile,
        content: LogBytes | None,
        files: list[TrackedFile],
        *,
        ours: bool = True,
        at_end: bool = False,
        gone: bool = False,
    ) -> None:
        try:
            content = content or self._open(seen)
            try:
                file = self._judged(seen, content, files, ours=ours, gone=gone)
                if file is not None and at_end and seen.live:
                    file.go_to_end()
            except OSError:
                content.close()
                raise
        except FileNotFoundError:
            raise
        except DamagedLog as error:
            self._complain(error)
            self.settled[seen] = ""
        except OSError as error:
            self._complain(error)
            self.unsure = True
        else:
            if file is not None:
                if seen.live:  # also one that has gone since it was seen: it is younger than what was rotated by then
                    file.turn = (self._newest, 1)
                self._followed.add(file.id)
                self._positions.pop(file.id, None)
                files.append(file)

    def _judged(
        self, seen: FoundFile, content: LogBytes, files: list[TrackedFile], *, ours: bool, gone: bool
    ) -> TrackedFile | None:
        """The file to read. None: there is nothing in it for us, or one in hand goes on in it."""
        head = content.head()
        base = identify(self._source.belongs_to, head, final=bool(seen.rotated) or gone)
        if base is None:
            if seen.rotated or gone:
                self.settled[seen] = ""
                content.close()
            else:
                self._young[(seen.device, seen.inode)] = (seen, content)
            return None
        shrunk: Position | None = None
        for number in itertools.count(1):
            file_id = base if number == 1 else f"{base}-{number}"
            held = next((file for file in files if file.id == file_id), None)
            if held is not None:
                copied = held.is_copied_by(content)
                if not copied and not _has_a_stamp(head):
                    continue
                held.twin = (seen.device, seen.inode)
                if copied and held.needs_a_copy:
                    held.move(seen, content)
                else:
                    content.close()  # its twin, or a copy that is still being made
                return None
            if file_id in self._followed:  # by the tailer of another glob
                content.close()
                return None
            known = self._positions.get(file_id)
            self.recognised |= known is not None
            if known is None or known.marker in ("", digest(content.seek(known.offset))):
                break
            if known.offset > content.size() and not seen.compressed and _has_a_stamp(head):
                if time.time() - content.changed_at() < COPYING_SECONDS:
                    self.unsure = True
                    content.close()
                    return None
                shrunk = known
        if known is None and not ours:
            known = self._positions[file_id] = Position(str(self._path(seen)), 0, complete=True, seen_at=time.time())
        if known is not None and known.complete and seen.rotated:
            self.settled[seen] = file_id
            content.close()
            return None
        file = TrackedFile(self._source, seen, content, head, file_id, self._settings.max_record_bytes)
        if known is not None:
            file.go_on_from(known)
        elif shrunk is not None:
            # The node lost power before the disk had it: what is left of the file was settled.
            file.go_to_end()
        return file

    def _first_of_ours(self, found: tuple[FoundFile, ...], at_end: bool) -> int:
        """At first sight: from which on the files are to be read. Those before were there before us."""
        live = next((number for number, seen in enumerate(found) if seen.live), len(found))
        if self._source.pod_uid:
            return live if at_end else 0
        # Under a name of its own choice a host keeps logs for years: only what follows on what we know is ours.
        if not any(position.path.startswith(str(self._source.path)) for position in self._positions.values()):
            return live
        for number, seen in enumerate(found[:live]):
            content = self._open(seen)
            try:
                file_id = identify(self._source.belongs_to, content.head(), final=True)
            except DamagedLog:
                continue
            finally:
                content.close()
            if file_id in self._positions:
                return number
        live_is_known = live < len(found) and self._is_known(found[live])
        return live if live_is_known else 0

    def _is_known(self, seen: FoundFile) -> bool:
        content = self._open(seen)
        try:
            return identify(self._source.belongs_to, content.head()) in self._positions
        finally:
            content.close()

    def _open(self, seen: FoundFile) -> LogBytes:
        """Raises FileNotFoundError also when another file has that name by now."""
        content = open_log(self._source.root, seen.relative, self._settings.follow_links_into, seen.compressed)
        if content.identity() != (seen.device, seen.inode):
            content.close()
            raise FileNotFoundError(errno.ENOENT, "was replaced since the look", self._path(seen))
        return content

    def _path(self, seen: FoundFile) -> str:
        return str(self._source.root.joinpath(*seen.relative))


def _has_a_stamp(head: bytes) -> bool:
    """Whether the first line holds a time in nanoseconds, so that no other log begins with it."""
    line = head.partition(b"\n")[0]
    return not isinstance(recognise(head), Plain) or b'"time":"' in line
