"""Opens the files of one source: decides for each file that a scan has found which log it is, and acts.

Every file that is to be read is opened at first sight, long before its turn: bytes that kubelet deletes meanwhile stay
readable. `judgement.judge` decides; this class carries the actions out. A compressed file whose bytes have to be
compared is decompressed in a thread, and judged again when that is done; files that are younger wait for it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Final

from agent.tail import judgement
from agent.tail.checkpoint import Position
from agent.tail.content import DamagedLog, LogBytes
from agent.tail.descriptors import OutOfDescriptors
from agent.tail.edge import Edge
from agent.tail.fingerprint import has_stamp, identify
from agent.tail.judgement import Held, Known, Seen, judge
from agent.tail.names import printable
from agent.tail.open_log import open_log
from agent.tail.reading_order import ReadingOrder
from agent.tail.safe_open import NotALogFile
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import FoundFile, Gap, Reading, Source
from agent.tail.unopened import Unopened
from agent.tail.verification import Verifications

COPYING_SECONDS: Final = 5.0
"""A copy that nobody has written to for so long is complete."""

DAMAGED: Final = "damaged"


class FileTracker:
    """For one source. `judged_again` is called when a file that was decompressed in a thread can be judged."""

    def __init__(
        self,
        source: Source,
        reading: Reading,
        edge: Edge,
        judged_again: Callable[[], None],
        *,
        all_is_ours: bool = False,
    ) -> None:
        self.settled: dict[FoundFile, str] = {}
        """Files with nothing left to read, by their id."""
        self.unsure = False
        """At the last scan some file could not be opened; a log that is known may be behind it."""
        self.recognised = False
        """One of the files was known. The oldest files are deleted first, so no file after it can be missing."""
        self.lacks_descriptors = False
        """At the last scan a file was not opened because too few descriptors are left."""
        self.order = ReadingOrder()
        self._source = source
        self._reading = reading
        self._edge = edge
        self._all_is_ours = all_is_ours
        self._looked = False
        self._unidentified: dict[tuple[int, int], tuple[FoundFile, LogBytes]] = {}
        """Open files that hold too little to tell which log they are, by device and inode."""
        self._confirmed_unidentified: set[tuple[int, int]] = set()
        self._verifications = Verifications(judged_again)
        self._unopened = Unopened()
        self._last_written: dict[tuple[int, int], tuple[tuple[int, int], float]] = {}
        """Size and time of the last write, and when that was, in seconds of the monotonic clock."""

    def take(self, found: tuple[FoundFile, ...], files: list[TrackedFile], *, at_end: bool, fresh: bool = True) -> None:
        """Opens new files among those found and puts them into `files`, oldest first.

        `fresh`: they were found just now, not at an earlier scan.
        """
        self.unsure = self.lacks_descriptors = False
        self.order.start(found)
        before = list(files) if fresh else []
        if fresh:
            self._note_scan(found)
        self.settled = {seen: file_id for seen, file_id in self.settled.items() if seen in found}
        try:
            self._judge_again(found, files)
            first = 0 if self._looked or self._all_is_ours else self._first_of_ours(found, at_end)
            for number, seen in enumerate(found):
                if seen not in self.settled and not self._is_open(seen, files):
                    with self.order.waiting_for(seen):
                        self._consider(seen, None, files, ours=number >= first, at_end=at_end and not self._looked)
        except FileNotFoundError:
            # The file was renamed or compressed since the scan. Younger files wait, since files are read in order.
            self.unsure = True
            self.order.wait_for_all()
        else:
            self._looked = True
        for seen in self._verifications.pending:
            self.unsure = True
            self.order.wait_for(seen)
        self.order.sort(files)
        self.order.confirm(before)

    def may_begin(self, file: TrackedFile) -> bool:
        """Whether no older file can still turn up."""
        return self.order.may_begin(file)

    def wants_another_scan(self, files: list[TrackedFile]) -> bool:
        """The next scan is worth making at once: some file waits for it to begin."""
        waits = self.order.is_waiting or any(not file.confirmed for file in files)
        unconfirmed = self._unidentified.keys() - self._confirmed_unidentified
        return self.order.is_complete and (waits or bool(unconfirmed))

    @property
    def has_unidentified(self) -> bool:
        """The next write to some file may tell which log it is."""
        return bool(self._unidentified) or self._verifications.is_done

    def find_grown(self) -> bool:
        """Whether a file that was settled and closed has been written to since. It will be opened again."""
        grown = [seen for seen, file_id in self.settled.items() if self._has_grown(seen, file_id)]
        for seen in grown:
            del self.settled[seen]
        return bool(grown)

    def close(self) -> None:
        for _, content in self._unidentified.values():
            content.close()
        self._unidentified.clear()
        self._verifications.close()

    def release(self, file: TrackedFile) -> None:
        """The file is closed; how far it was settled stays known."""
        self._reading.positions[file.id] = file.position
        self._reading.open_ids.discard(file.id)

    def _note_scan(self, found: tuple[FoundFile, ...]) -> None:
        keys = {seen.key for seen in found}
        self._confirmed_unidentified = self._unidentified.keys() & keys
        self._last_written = {key: written for key, written in self._last_written.items() if key in keys}
        for lost in self._unopened.vanished(found):
            if not any(
                known.device == lost.device and known.inode == lost.inode for known in self._reading.positions.values()
            ):
                self._lose(lost, "deleted before it could be opened", lost.size)

    def _is_open(self, seen: FoundFile, files: list[TrackedFile]) -> bool:
        held = seen.key in self._unidentified or self._verifications.has(seen)
        return held or any(file.is_same(seen) for file in files)

    def _judge_again(self, found: tuple[FoundFile, ...], files: list[TrackedFile]) -> None:
        for key, (seen, content) in list(self._unidentified.items()):
            now = next((other for other in found if other.key == key), None)
            del self._unidentified[key]
            held = len(files)
            self._consider(now or seen, content, files, gone=now is None)
            for file in files[held:]:
                file.confirmed = key in self._confirmed_unidentified
        for done in self._verifications.take_done():
            if done.error is not None:
                self._failed(done.seen, done.content, done.error)
            else:
                self._consider(done.seen, done.content, files, ours=done.ours, markers=done.markers)

    def _consider(
        self,
        seen: FoundFile,
        content: LogBytes | None,
        files: list[TrackedFile],
        *,
        ours: bool = True,
        at_end: bool = False,
        gone: bool = False,
        markers: dict[int, bytes] | None = None,
    ) -> None:
        """Raises FileNotFoundError when the file is not there any more; every other error ends here."""
        if content is None and not self._edge.may_try(seen.key):
            self.unsure = True
            return
        try:
            content = content or self._open(seen)
            self._act(seen, content, files, ours=ours, at_end=at_end, gone=gone, markers=markers or {})
            self._unopened.discard(seen)
        except Exception as error:  # noqa: BLE001  # the edge: one file must not end the reading of others
            self._failed(seen, content, error)

    def _failed(self, seen: FoundFile, content: LogBytes | None, error: Exception) -> None:
        judged = self._last_written.get(seen.key)
        changed = content is not None and judged is not None and judged[0] != content.state()
        growing = content is not None and (changed or self._is_growing(seen, content))
        if content is not None:
            content.close()
        if not isinstance(error, NotALogFile | DamagedLog):
            self._unopened.add(seen)
        if isinstance(error, FileNotFoundError):
            raise error
        self._edge.meet(error, seen.key)
        if isinstance(error, DamagedLog) and not growing:
            self.settled[seen] = ""
            self._lose(seen, DAMAGED, 0)
            return
        self.lacks_descriptors |= isinstance(error, OutOfDescriptors) or getattr(error, "errno", 0) == errno.EMFILE
        # What is no log file will never be read, so nothing that is known can be behind it.
        self.unsure |= not isinstance(error, NotALogFile)

    def _act(
        self,
        seen: FoundFile,
        content: LogBytes,
        files: list[TrackedFile],
        *,
        ours: bool,
        at_end: bool,
        gone: bool,
        markers: dict[int, bytes],
    ) -> None:
        head = content.head()
        base_id = identify(self._source.identity, head, final=bool(seen.rotated) or gone)
        facts = Seen(
            base_id,
            has_stamp=has_stamp(head),
            rotated=bool(seen.rotated),
            compressed=seen.compressed,
            gone=gone,
            ours=ours,
            size=content.whole_size(),
            growing=self._is_growing(seen, content),
        )
        open_here = {file.id: file for file in files}
        while True:
            *first, last = judge(facts, self._known(base_id, open_here, markers))
            self.recognised |= judgement.Remember() in first
            for action in first:
                if isinstance(action, judgement.NotOurs):
                    self._reading.positions[action.file_id] = Position(
                        self._path(seen), 0, complete=True, seen_at=time.time()
                    )
            if not isinstance(last, judgement.ReadMarker):
                break
            if seen.compressed:
                self._verifications.start(seen, content, last.offset, markers, ours=ours)
                return
            markers[last.offset] = content.seek(last.offset)
        match last:
            case judgement.WaitForMore():
                self._unidentified[seen.key] = (seen, content)
                return
            case judgement.GoOnIn(file_id):
                open_here[file_id].alias = seen.key
                open_here[file_id].move(seen, content)
                return
            case judgement.Read(file_id, known, from_end):
                file = TrackedFile(self._source, seen, content, head, file_id, self._reading.settings.max_record_bytes)
                rejected, filtered = self._reading.unshipped.get(file_id, ((), ()))
                file.digest.rejected.update(rejected)
                file.digest.unshipped.update(filtered)
                if known is not None:
                    file.go_on_from(known)
                else:
                    file.go_to_start()
                if from_end or (at_end and seen.live):
                    file.go_to_end()
                self._add(file, files)
                return
            case judgement.IsAlias(file_id):
                open_here[file_id].alias = seen.key
            case judgement.Settle(file_id):
                self.settled[seen] = file_id
            case judgement.Postpone():
                self.unsure = True
        content.close()

    def _known(self, base_id: str | None, open_here: dict[str, TrackedFile], markers: dict[int, bytes]) -> Known:
        held = {
            file_id: Held(file.state.needs_a_copy, *file.copy_marker)
            for file_id, file in open_here.items()
            if base_id is not None and file_id.startswith(base_id)
        }
        return Known(held, self._reading.open_ids - open_here.keys(), self._reading.positions, markers)

    def _add(self, file: TrackedFile, files: list[TrackedFile]) -> None:
        if file.found.live:  # also when it has gone since the scan: it is younger than what was rotated by then
            file.turn = self.order.live_turn
        self._edge.forget(file.found.key)
        self._reading.open_ids.add(file.id)
        self._reading.positions.pop(file.id, None)
        files.append(file)

    def _first_of_ours(self, found: tuple[FoundFile, ...], at_end: bool) -> int:
        """At first sight: the number of the first file to be read. Older files were there before the agent."""
        live = next((number for number, seen in enumerate(found) if seen.live), len(found))
        if self._source.pod_uid:
            return live if at_end else 0
        # A host keeps rotated logs for years: only files that follow on a known one are read.
        if not any(position.path.startswith(self._source.name) for position in self._reading.positions.values()):
            return live
        for number, seen in enumerate(found[:live]):
            if self._is_known(seen):
                return number
        return live if live < len(found) and self._is_known(found[live]) else 0

    def _is_known(self, seen: FoundFile) -> bool:
        try:
            content = self._open(seen)
        except FileNotFoundError:
            raise
        except OSError:
            return False  # considering it will meet the same error
        try:
            return identify(self._source.identity, content.head(), final=not seen.live) in self._reading.positions
        except OSError:
            return False
        finally:
            content.close()

    def _open(self, seen: FoundFile) -> LogBytes:
        """Raises FileNotFoundError also when another file has the name by now."""
        content = open_log(self._source.root, seen.relative, self._reading.settings.follow_links_into, seen.compression)
        if content.key != seen.key:
            content.close()
            raise FileNotFoundError(errno.ENOENT, "was replaced since the scan", self._path(seen))
        return content

    def _is_growing(self, seen: FoundFile, content: LogBytes) -> bool:
        """Whether it was written to within the last seconds. Kubelet names a compressed file when it is complete."""
        if seen.compressed and self._source.pod_uid:
            return False
        now, state = time.monotonic(), content.state()
        known = self._last_written.get(seen.key)
        if known is None or known[0] != state:
            # From here on the monotonic clock counts: a wall clock that was set back must not make this last.
            known = (state, now - max(0.0, time.time() - content.changed_at()))
            self._last_written[seen.key] = known
        return now - known[1] < COPYING_SECONDS

    def _has_grown(self, seen: FoundFile, file_id: str) -> bool:
        position = self._reading.positions.get(file_id)
        if seen.compressed or seen.live or position is None or not position.offset:
            return False
        try:
            status = os.stat(self._source.root.joinpath(*seen.relative), follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == seen.key and status.st_size > position.size

    def _lose(self, seen: FoundFile, why: str, size: int) -> None:
        name = f"{seen.device:x}:{seen.inode:x}"
        self._reading.announce(Gap(name, self._path(seen), 0, size, why, at_least=True))

    def _path(self, seen: FoundFile) -> str:
        return printable(self._source.root.joinpath(*seen.relative))
