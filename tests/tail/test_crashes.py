"""Records over files and crashes: whatever was settled when the agent died, the next life finds every record whole."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.proof.segment import FileDigest
from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records
from agent.tail.fingerprint import identify
from agent.tail.open_log import open_log
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import FoundFile, Source

Text = tuple[str, int]
"""A record: its stream and in how many parts it is written."""

SOURCE_PATH = ("falco_falco-x7k2p_3f2b8a34-2f11-4a0a-9d6f-0c5b8f6a7e11", "falco", "0.log")


def written(root: Path, texts: list[Text], rotations: set[int]) -> tuple[list[FoundFile], set[bytes]]:
    """The files of a container that logged these, its lines rotated away at those numbers; and the records."""
    source = Source(root, SOURCE_PATH, "falco", "falco-x7k2p", "3f2b8a34", "falco")
    source.path.parent.mkdir(parents=True)
    lines: list[tuple[str, str, str]] = []
    records: set[bytes] = set()
    open_parts: dict[str, list[str]] = {}
    for number, (stream, parts) in enumerate(texts):
        pieces = [f"{number}.{part};" for part in range(parts)]
        records.add("".join(pieces).encode())
        open_parts.setdefault(stream, []).extend(pieces)
    # The two streams take turns, so that their parts stand between each other.
    for pair in itertools.zip_longest(open_parts.get("stdout", []), open_parts.get("stderr", [])):
        for stream, piece in zip(("stdout", "stderr"), pair, strict=True):
            if piece is not None:
                record, part = map(int, piece[:-1].split("."))
                last = part == texts[record][1] - 1
                lines.append((stream, "F" if last else "P", piece))
    found: list[FoundFile] = []
    content = bytearray()
    for count, (stream, tag, piece) in enumerate(lines):
        content += f"2026-11-23T07:23:01.{count:09d}Z {stream} {tag} {piece}\n".encode()
        if count in rotations or count == len(lines) - 1:
            name = f"0.log.20261123-{len(found):06d}"
            path = source.path.with_name(name)
            path.write_bytes(content)
            status = path.stat()
            relative = (*SOURCE_PATH[:2], name)
            found.append(FoundFile(relative, name, "", status.st_dev, status.st_ino))
            content.clear()
    return found, records


class Life:
    """An agent on those files, from its start until it dies. `known` is what the one before it wrote down."""

    def __init__(self, root: Path, found: list[FoundFile], known: dict[str, object]) -> None:
        source = Source(root, SOURCE_PATH, "falco", "falco-x7k2p", "3f2b8a34", "falco")
        self.files = []
        for seen in found:
            content = open_log(root, seen.relative, (), seen.compression)
            head = content.head()
            file_id = identify(source.identity, head, final=True)
            assert file_id is not None
            file = TrackedFile(source, seen, content, head, FileDigest(file_id), 1 << 20)
            if file_id in known:
                file.go_on_from(known[file_id])  # type: ignore[arg-type]
            self.files.append(file)
        self.unsettled: list[tuple[Entry, Records]] = []
        self._at = 0

    def read(self, most: int) -> bool:
        """The next bytes, of the next file when one is at its end; False when there is none."""
        file = self.files[self._at]
        if not file.begun:
            file.begin(self.files[self._at - 1] if self._at else None)
        if not (data := file.read(most)):
            self._at += 1
            return self._at < len(self.files)
        records = file.join(file.cut(data, 0.0))
        entry = file.enter(records, 0.0)
        if len(records):
            self.unsettled.append((entry, records))
        return True

    def settle(self, number: int) -> list[bytes]:
        entry, records = self.unsettled.pop(number % len(self.unsettled))
        entry.settle(len(records))
        return [*records.payloads, *(unusual.payload for unusual in records.unusual)]

    def die(self) -> dict[str, object]:
        """What stands on disk then."""
        on_record: dict[str, object] = {file.id: file.position for file in self.files}
        for file in self.files:
            file.close()
        return on_record


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.tuples(st.sampled_from(["stdout", "stdout", "stderr"]), st.integers(1, 4)), min_size=1),
    rotations=st.sets(st.integers(0, 60), max_size=8),
    lives=st.lists(
        st.lists(
            st.one_of(st.tuples(st.just("read"), st.integers(1, 400)), st.tuples(st.just("settle"), st.integers(0)))
        ),
        max_size=4,
    ),
)
def test_whatever_was_settled_before_a_crash_every_record_arrives_whole(
    texts: list[Text], rotations: set[int], lives: list[list[tuple[str, int]]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        found, expected = written(root, texts, rotations)
        known: dict[str, object] = {}
        shipped: list[bytes] = []
        for deeds in lives:
            life = Life(root, found, known)
            more = True
            for deed, number in deeds:
                if deed == "read" and more:
                    more = life.read(number)
                elif deed == "settle" and life.unsettled:
                    shipped += life.settle(number)
            known = life.die()
        last = Life(root, found, known)
        while last.read(1 << 16):
            pass
        while last.unsettled:
            shipped += last.settle(0)
        ends = [(file.ledger.committed, file.end) for file in last.files]
        last.die()

    assert set(shipped) == expected
    assert all(committed == end for committed, end in ends)
