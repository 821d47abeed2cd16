"""Opening only what was meant, reading plain and compressed alike, and telling one log from another."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tail.content import DamagedLog, LogBytes
from agent.tail.fingerprint import FINGERPRINT_BYTES, MARKER_BYTES, identify
from agent.tail.open_log import open_log
from agent.tail.safe_open import NotALogFile, open_beneath


def whole(content: LogBytes, piece: int = 1000) -> bytes:
    return b"".join(iter(lambda: content.read(piece), b""))


def written(tmp_path: Path, data: bytes, *, packed: bool) -> LogBytes:
    name = "a.gz" if packed else "a"
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    return open_log(tmp_path, (name,), (), "gz" if packed else "")


@pytest.mark.parametrize("packed", [False, True])
@given(data=st.binary(max_size=5000), offset=st.integers(0, 5000), piece=st.integers(1, 3000))
def test_reading_goes_on_from_any_byte(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, data: bytes, offset: int, piece: int
) -> None:
    content = written(tmp_path_factory.mktemp("logs"), data, packed=packed)
    offset = min(offset, len(data))
    try:
        assert content.seek(offset) == data[max(0, offset - MARKER_BYTES) : offset]
        assert whole(content, piece) == data[offset:]
        assert content.read(piece) == b""
        content.seek(offset)
        assert content.remaining() == len(data) - offset
        assert content.head()[:FINGERPRINT_BYTES] == data[:FINGERPRINT_BYTES]
    finally:
        content.close()


def test_beyond_the_end_there_is_less_of_a_marker(tmp_path: Path) -> None:
    for packed in (False, True):
        content = written(tmp_path, b"abc", packed=packed)
        assert content.seek(500) == b""
        content.close()


def test_several_members_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
    content = open_log(tmp_path, ("a.gz",), (), "gz")

    assert whole(content) == b"one two"
    assert content.ends_a_line()
    assert content.changed_at() > 0
    assert content.size() == (tmp_path / "a.gz").stat().st_size
    content.close()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:500], lambda data: data[:500] + b"\xff" * 500]
)
def test_what_is_damaged_says_so_after_what_can_be_read(tmp_path: Path, damage) -> None:
    data = os.urandom(20_000)
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(data)))
    content = open_log(tmp_path, ("a.gz",), (), "gz")
    seen = b""

    with pytest.raises(DamagedLog, match="is damaged gz"):  # noqa: PT012  # it comes at some later read
        while piece := content.read(1000):
            seen += piece
    # Bytes behind damage in the middle decode to anything.
    assert seen[:400] == data[: min(400, len(seen))]
    content.close()


def test_no_link_is_followed_unless_it_leads_where_it_may(tmp_path: Path) -> None:
    (tmp_path / "docker" / "abc").mkdir(parents=True)
    (tmp_path / "docker" / "abc" / "x.log").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"s")
    root = tmp_path / "pods" / "c"
    root.mkdir(parents=True)
    (root / "inside").symlink_to(tmp_path / "docker" / "abc" / "x.log")
    (root / "relative").symlink_to("../../docker/abc/x.log")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "climbing").symlink_to(tmp_path / "docker" / ".." / "secret")
    (root / "itself").symlink_to(tmp_path / "docker")
    (tmp_path / "docker" / "abc" / "again").symlink_to(tmp_path / "secret")
    (root / "twice").symlink_to(tmp_path / "docker" / "abc" / "again")
    allowed = (tmp_path / "elsewhere", tmp_path / "docker")

    for name in ("inside", "relative"):
        os.close(open_beneath(tmp_path / "pods", ("c", name), allowed))
        with pytest.raises(NotALogFile, match="follow_links_into"):
            open_beneath(tmp_path / "pods", ("c", name))
    for name in ("outside", "climbing", "itself", "twice"):
        with pytest.raises(OSError, match=r"link|symbolic"):
            open_beneath(tmp_path / "pods", ("c", name), allowed)


def test_no_directory_on_the_way_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "0.log").write_bytes(b"x")
    (tmp_path / "pods").mkdir()
    (tmp_path / "pods" / "c").symlink_to(tmp_path / "real")

    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        open_beneath(tmp_path / "pods", ("c", "0.log"), (tmp_path / "real",))


def test_a_fifo_a_device_and_a_directory_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()

    for root, name in ((tmp_path, "fifo"), (tmp_path, "directory"), (Path("/dev"), "null")):
        with pytest.raises(NotALogFile, match="is not a regular file"):
            open_beneath(root, (name,))


STAMP = b"2026-11-23T07:23:01.156686905Z stdout F "


@pytest.mark.parametrize(
    ("head", "final", "known"),
    [
        (STAMP + b"text\n", False, True),
        (STAMP + b"text", False, False),
        (STAMP + b"text", True, True),
        (b"", True, False),
        (b"", False, False),
        (STAMP + b"x" * FINGERPRINT_BYTES, False, True),
        (b"{" + b"x" * FINGERPRINT_BYTES, False, False),
        (b"{" + b"x" * FINGERPRINT_BYTES + b"\n", False, True),
    ],
)
def test_a_file_is_identified_by_its_first_line_once_that_is_there(head: bytes, final: bool, known: bool) -> None:
    assert (identify("here", head, final=final) is not None) is known


def test_an_id_depends_on_whose_log_it_is_and_on_nothing_after_the_first_line() -> None:
    assert identify("here", STAMP + b"a\nb\n") == identify("here", STAMP + b"a\nc\n")
    assert identify("here", STAMP + b"a\n") != identify("there", STAMP + b"a\n")
    assert identify("here", STAMP + b"a\n") != identify("here", STAMP + b"b\n")


def test_the_id_of_a_long_line_of_json_counts_its_end(tmp_path: Path) -> None:
    line = b'{"log":"' + b"x" * 5000 + b'","time":"2026-11-23T07:35:16.09850447%dZ"}\n'
    ids = set()
    for number in range(3):
        for packed in (False, True):
            content = written(tmp_path, line % number, packed=packed)
            ids.add(identify("here", content.head()))
            content.close()

    assert len(ids) == 3
    assert None not in ids


def test_a_compressed_file_says_how_much_it_holds_without_being_read(tmp_path: Path) -> None:
    content = written(tmp_path, b"x" * 123_456, packed=True)

    try:
        assert content.whole_size() == 123_456
    finally:
        content.close()
