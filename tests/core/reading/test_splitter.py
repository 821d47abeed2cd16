"""Bytes to lines: any bytes, split anywhere, give the same lines."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from agent.core.reading.records import Mark
from agent.core.reading.splitter import Splitter

texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" ").replace(b"\0", b"0"))


@given(
    before=st.lists(texts, max_size=4),
    long=st.binary(min_size=300, max_size=900).map(lambda text: text.replace(b"\n", b" ").replace(b"\0", b"0")),
    after=st.lists(texts, max_size=4),
    size=st.integers(1, 200),
    ended=st.booleans(),
)
def test_after_an_overlong_line_reading_goes_on_at_the_next_newline(
    before: list[bytes], long: bytes, after: list[bytes], size: int, ended: bool
) -> None:
    data = b"\n".join([*before, long, *after]) if ended else b"\n".join([*before, long])
    splitter, overlong, seen = Splitter(0, 64), [], []
    for start in range(0, len(data), size):
        split = splitter.feed(data[start : start + size], 0.0)
        overlong += [split.overlong] if split.overlong else []
        seen += [line[:-1] for line in split.lines]
    assert splitter.end == len(data)
    last = splitter.finish()
    overlong += [last.overlong] if last.overlong else []
    seen += [line[:-1] for line in last.lines]

    held_whole = [line for line in seen if line == long]
    if not held_whole:
        mark = Mark(size=len(long), digest=sha256(long).hexdigest())
        assert [(line.payload, line.offset, line.mark) for line in overlong] == [
            (long[:64], sum(len(line) + 1 for line in before), mark)
        ]
    rest = [line for line in seen if line != long]
    expected = before + (after if ended else [])
    if expected and rest != expected:
        assert expected[-1] == b""  # an empty last line is no line
        assert rest == expected[:-1]


def test_a_hole_larger_than_the_longest_line_is_not_kept_and_not_an_overlong_line() -> None:
    splitter = Splitter(0, 64)

    holes = [splitter.feed(b"\0" * 1000, 0.0) for _ in range(3)]
    split = splitter.feed(b"\0" * 10 + b"record\n", 0.0)

    assert [hole.overlong for hole in [*holes, split]] == [None] * 4
    assert (split.lines, split.offset) == ([b"\0" * 10, b"record\n"], 3000)


def test_a_hole_ends_an_overlong_line() -> None:
    splitter = Splitter(0, 64)
    splitter.feed(b"x" * 100, 0.0)

    split = splitter.feed(b"x" * 50 + b"\0" * 20 + b"record\n", 0.0)

    assert split.overlong is not None
    assert split.overlong.mark.size == 150
    assert (split.lines, split.offset) == ([b"\0" * 19, b"record\n"], 151)
    assert splitter.end == 177


def test_no_bytes_are_no_lines() -> None:
    splitter = Splitter(0, 64)
    splitter.feed(b"unfinished", 0.0)

    assert splitter.feed(b"", 0.0).lines == []
    assert (splitter.offset, splitter.end) == (0, 10)


def test_the_held_bytes_are_those_of_the_unfinished_line() -> None:
    splitter = Splitter(0, 64)
    assert splitter.held_bytes == 0

    splitter.feed(b"a line\n" + b"x" * 50, 0.0)
    assert splitter.held_bytes == 50

    splitter.feed(b"x" * 10_000, 0.0)
    assert 64 <= splitter.held_bytes < 1000  # of an overlong line only the beginning is held
    splitter.feed(b"\n", 0.0)
    assert splitter.held_bytes == 0
