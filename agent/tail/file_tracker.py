"""Opens the files of one source.

Every file that is to be read is opened at first sight, long before its turn: bytes that kubelet deletes meanwhile stay
readable. `judge` decides which log a file is; this class carries the decision out. A compressed file whose bytes have
to be compared is decompressed in a thread, and judged again when that is done; files that are younger wait for it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from contextlib import closing

from agent.tail import judgement
from agent.tail.checkpoint import Position
from agent.tail.closed_files import ClosedFile, ClosedFiles
from agent.tail.content import DamagedLog, LogBytes
from agent.tail.descriptors import OutOfDescriptors
from agent.tail.edge import Edge
from agent.tail.file_state import SEARCH_SECONDS
from agent.tail.fingerprint import identify
from agent.tail.first_sight import FirstSight
from agent.tail.found_log import FoundLog
from agent.tail.judgement import Held, Known, judge
from agent.tail.last_writes import LastWrites
from agent.tail.names import printable
from agent.tail.open_log import open_log
from agent.tail.positions import VANISHED
from agent.tail.reading_order import ReadingOrder
from agent.tail.safe_open import NotALogFile
from agent.tail.settled_files import SettledFiles
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import DAMAGED, FoundFile, Gap, Reading, Source
from agent.tail.unidentified import Unidentified
from agent.tail.unopened import Unopened
from agent.tail.verification import Verifications


class FileTracker:
    """Tracks the files of one source. `look_again` is called when a thread has decompressed a file.

    A file is ours if it is read although nothing is known about it. `all_is_ours`: also files older than the agent are.
    """

    def __init__(
        self,
        source: Source,
        reading: Reading,
        edge: Edge,
        look_again: Callable[[], None],
        *,
        all_is_ours: bool = False,
    ) -> None:
        self.settled = SettledFiles(source, reading.positions)
        self.unsure = False
        """At the last `take` some file was not opened, or could not be judged yet; that file may be a known log."""
        self.recognised = False
        """One of the files was known. The oldest files are deleted first, so no file after it can be missing."""
        self.lacking = 0
        """At the last `take` so many files were not opened, because too few descriptors are left."""
        self.closed = ClosedFiles(source, reading.positions)
        self.vanished_ids: list[str] = []
        """Known files that vanished while they were not open, and that may not have been read to their end."""
        self.order = ReadingOrder()
        self._source = source
        self._reading = reading
        self._edge = edge
        self._all_is_ours = all_is_ours
        self._looked = False
        self._first_sight = FirstSight(source, reading.positions)
        self.unidentified = Unidentified()
        self._verifications = Verifications(look_again)
        self._unopened = Unopened()
        self._last_writes = LastWrites()

    def take(self, found: tuple[FoundFile, ...], files: list[TrackedFile], *, at_end: bool, fresh: bool = True) -> None:
        """Opens new files among those found and puts them into `files`, oldest first.

        `fresh`: they were found just now, not at an earlier scan.
        """
        self.unsure, self.lacking = False, 0
        self.order.start(found)
        before = list(files) if fresh else []
        if fresh:
            self._note_scan(found)
        self.settled.keep(found)
        try:
            self._judge_again(found, files)
            first = 0
            if not (self._looked or self._all_is_ours):
                first = self._first_sight.first_of_ours(found, self._id_of, at_end=at_end)
            for number, seen in enumerate(found):
                if seen not in self.settled and not self._is_tracked(seen, files):
                    with self.order.waiting_for(seen):
                        self._consider(seen, None, files, ours=number >= first, at_end=at_end and not self._looked)
        except FileNotFoundError:
            # It was renamed, compressed, deleted or replaced since the scan. Younger files wait for the next scan.
            self.unsure = True
            self.order.wait_for_all()
        else:
            self._looked |= not self.lacking
        for seen in self._verifications.pending:
            self.unsure = True
            self.order.wait_for(seen)
        self.order.sort(files)
        self.order.confirm(before)

    def may_begin(self, file: TrackedFile) -> bool:
        """Every older file has been found."""
        return self.order.may_begin(file)

    def wants_another_scan(self, files: list[TrackedFile]) -> bool:
        """A file cannot begin before another scan."""
        waits = self.order.is_waiting or any(not file.confirmed for file in files)
        return self.order.is_complete and (waits or self.unidentified.has_unconfirmed)

    def take_openable(self) -> bool:
        """A file may be identified or opened again now. Forgets the closed files that changed."""
        return self.closed.take_changed() or self.has_unidentified

    @property
    def has_unidentified(self) -> bool:
        """A write to some file, or its decompression that has ended, may tell which log it is."""
        return bool(self.unidentified) or self._verifications.is_done

    def may_find_copy_of(self, file: TrackedFile) -> bool:
        """The bytes of a file that was replaced may be in a file that was found and could not be judged yet."""
        is_recent = time.monotonic() - file.active_at < SEARCH_SECONDS
        return bool(self._verifications.pending) or (self.unsure and is_recent)

    @property
    def waiting_bytes(self) -> int:
        """Unread bytes of files that were found and cannot be read yet."""
        return self._unopened.unread + self._verifications.unread

    def take_grown(self) -> bool:
        """A closed file has been written to. Forgets the closed files that changed, so `take` opens them again."""
        return any([self.settled.take_grown(), self.closed.take_changed()])

    def close_unidentified(self, seen: FoundFile) -> None:
        content = self.unidentified.take(seen)
        self.closed.add(seen, ClosedFile("", content.state(), has_unread=False))
        content.close()

    def close(self) -> None:
        self.unidentified.close()
        self._verifications.close()

    def release(self, file: TrackedFile) -> None:
        """The file is closed; how far it was settled stays known."""
        self._reading.positions[file.id] = file.position
        self._reading.open_ids.discard(file.id)

    def _note_scan(self, found: tuple[FoundFile, ...]) -> None:
        keys = {seen.key for seen in found}
        self.unidentified.note_scan(keys)
        self._last_writes.keep(keys)
        self._verifications.keep(found)
        for gone, closed in self.closed.take_vanished(found):
            if closed.file_id:
                self.vanished_ids.append(closed.file_id)
            elif closed.state[0]:
                self._lose(gone, VANISHED, closed.state[0])
        for lost in self._unopened.take_vanished(found):
            known = self.closed.note_vanished(lost)
            self.vanished_ids += known
            if not known:
                self._lose(lost, "deleted before it could be opened", lost.size)

    def _is_tracked(self, seen: FoundFile, files: list[TrackedFile]) -> bool:
        """The file is open, or closed until it changes."""
        waits = self.unidentified.has(seen) or self._verifications.has(seen) or seen in self.closed
        return waits or any(file.is_same(seen) for file in files)

    def _judge_again(self, found: tuple[FoundFile, ...], files: list[TrackedFile]) -> None:
        for seen, content in self.unidentified:
            now = next((other for other in found if other.key == seen.key), None)
            self.unidentified.take(seen)
            before = len(files)
            self._consider(now or seen, content, files, gone=now is None)
            for file in files[before:]:
                file.confirmed = self.unidentified.is_confirmed(seen)
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
            if markers is None:
                markers = self._verifications.markers_of(seen, content)
            self._act(seen, content, files, ours=ours, at_end=at_end, gone=gone, markers=markers)
        except Exception as error:  # noqa: BLE001  # the edge: one file must not end the reading of others
            self._failed(seen, content, error)

    def _failed(self, seen: FoundFile, content: LogBytes | None, error: Exception) -> None:
        growing = content is not None and (self._last_writes.followed(seen, content) or self._is_growing(seen, content))
        if content is not None:
            content.close()
        if not isinstance(error, NotALogFile | DamagedLog):
            self._unopened.add(seen)
        if isinstance(error, FileNotFoundError):
            raise error
        if isinstance(error, OutOfDescriptors) or getattr(error, "errno", 0) == errno.EMFILE:
            self.lacking += 1
            self._unopened.add(seen, self.closed.unread.get(seen.key, seen.size))
            self.unsure = True
            self.order.wait_for(seen)
            return
        self._edge.meet(error, seen.key)
        if isinstance(error, DamagedLog) and not growing:
            self.settled.add(seen, "")
            self._lose(seen, DAMAGED, 0)
            return
        # A path that is not a log file is never read, so it is no known log.
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
        log = FoundLog(self._source.identity, seen, content, gone=gone)
        facts = log.facts(ours=ours and log.id not in self.settled.forgotten, growing=self._is_growing(seen, content))
        open_here = {file.id: file for file in files}
        while True:
            *first, last = judge(facts, self._known(log.id, open_here, markers))
            self.recognised |= judgement.Remember() in first
            for action in first:
                if isinstance(action, judgement.NotOurs):
                    self._reading.positions[action.file_id] = Position(
                        self._path(seen), 0, complete=True, seen_at=time.time()
                    )
            if not isinstance(last, judgement.ReadMarker):
                break
            if seen.compressed:
                unread = max(0, facts.size - last.offset)
                self._verifications.start(seen, content, last.offset, markers, ours=ours, unread=unread)
                self._unopened.discard(seen)
                return
            markers[last.offset] = content.seek(last.offset)
        if seen.live and log.id is not None:
            self._first_sight.note_live(log.id)
        log.check()
        if not isinstance(last, judgement.Postpone):
            self.vanished_ids += self.closed.take_truncated(seen, judgement.file_of(last))
        if isinstance(last, judgement.Postpone):
            self.unsure = True
            if facts.size > last.settled:
                self._unopened.add(seen, facts.size - last.settled)
            content.close()
            return
        self._unopened.discard(seen)
        match last:
            case judgement.WaitForMore():
                self.unidentified.add(seen, content)
                return
            case judgement.GoOnIn(file_id):
                open_here[file_id].alias = seen.key
                open_here[file_id].move(seen, content)
                return
            case judgement.Read(file_id, known, from_end):
                file_digest, longest = self._reading.digest_of(file_id), self._reading.settings.max_record_bytes
                file = TrackedFile(self._source, seen, content, log.head, file_digest, longest)
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
                self.settled.add(seen, file_id)
        content.close()  # also after Skip: another source reads the file

    def _known(self, base_id: str | None, open_here: dict[str, TrackedFile], markers: dict[int, bytes]) -> Known:
        held = {
            file_id: Held(file.state.needs_a_copy, *file.copy_marker)
            for file_id, file in open_here.items()
            if base_id is not None and file_id.startswith(base_id)
        }
        return Known(held, self._reading.open_ids - open_here.keys(), self._reading.positions, markers)

    def _add(self, file: TrackedFile, files: list[TrackedFile]) -> None:
        if file.found.live:  # also when it has gone since the scan: the file is younger than what was rotated by then
            file.turn = self.order.live_turn
        self._edge.forget(file.found.key)
        self.closed.unread.pop(file.found.key, None)
        self._reading.open_ids.add(file.id)
        self._reading.positions.pop(file.id, None)
        files.append(file)

    def _id_of(self, seen: FoundFile) -> str | None:
        try:
            with closing(self._open(seen)) as content:
                head = content.head()
        except FileNotFoundError:
            raise
        except OSError:
            return None  # considering it will meet the same error
        return identify(self._source.identity, head, final=not seen.live)

    def _open(self, seen: FoundFile) -> LogBytes:
        """Raises FileNotFoundError also when another file has the name by now."""
        content = open_log(self._source.root, seen.relative, self._reading.settings.follow_links_into, seen.compression)
        if content.key != seen.key:
            content.close()
            raise FileNotFoundError(errno.ENOENT, "was replaced since the scan", self._path(seen))
        return content

    def _is_growing(self, seen: FoundFile, content: LogBytes) -> bool:
        """The file was written to within the last seconds, so it may be a copy that is still being made."""
        if seen.compressed and self._source.pod_uid:
            return False  # kubelet gives a compressed file its final name only after the last byte
        return self._last_writes.are_recent(seen, content)

    def _lose(self, seen: FoundFile, why: str, size: int) -> None:
        self._reading.announce(Gap(f"{seen.device:x}:{seen.inode:x}", self._path(seen), 0, size, why, at_least=True))

    def _path(self, seen: FoundFile) -> str:
        return printable(self._source.root.joinpath(*seen.relative))
