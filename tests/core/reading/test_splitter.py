"""Bytes to lines: any bytes, split anywhere, give the same lines."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from agent.core.reading.records import Mark
from agent.core.reading.splitter import Splitter

texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))


@given(
    before=st.lists(texts, max_size=4),
    long=st.binary(min_size=300, max_size=900).map(lambda text: text.replace(b"\n", b" ")),
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
