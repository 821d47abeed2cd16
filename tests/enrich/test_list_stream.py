"""The byte streams of the API server, cut into objects: the same objects for pieces of any size, and bounded memory."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.enrich.list_stream import LARGEST_OBJECT_BYTES, MOST_SKIPPED_BYTES, Lines, ListObjects
from agent.errors import KubernetesError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def pieces_of(stream: bytes, data: st.DataObject) -> Iterator[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    for start, end in pairwise([0, *cuts, len(stream)]):
        yield stream[start:end]


def feed_again_and_again(cutter: Lines | ListObjects, piece: bytes) -> None:
    for _ in range(2 * MOST_SKIPPED_BYTES // len(piece)):
        for _ in cutter.feed(piece):
            pass


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_do_not_depend_on_the_size_of_the_pieces(lines, data):
    splitter = Lines()

    stream = b"".join(line + b"\n" for line in lines)
    found = [line for piece in pieces_of(stream, data) for line in splitter.feed(piece)]

    assert found == [line for line in lines if line.strip()]


@given(st.lists(OBJECTS, max_size=5), OBJECTS, st.sampled_from([None, 2]), st.booleans(), st.data())
def test_the_items_of_a_list_do_not_depend_on_the_size_of_the_pieces(items, extra, indent, metadata_first, data):
    metadata: dict[str, Any] = {"metadata": {"resourceVersion": "7", "extra": extra, "x": ["items", {"items": [1]}]}}
    whole = metadata | {"items": items} if metadata_first else {"items": items} | metadata
    stream = json.dumps(whole, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    cutter = ListObjects()

    found = [orjson.loads(item) for piece in pieces_of(stream, data) for item in cutter.feed(piece)]

    expected = orjson.loads(stream)
    assert found == expected["items"]
    assert orjson.loads(cutter.envelope()) == expected | {"items": []}


@given(st.text(alphabet='{}[]",:\\ items1\n', max_size=60).map(lambda noise: b'{"items":[' + noise.encode()))
@example(b'{"items":[}]')
@example(b'{"items":[{"a":"\\')
def test_any_bytes_are_cut_or_refused(stream):
    cutter = ListObjects()
    with contextlib.suppress(KubernetesError):
        for byte in stream:
            list(cutter.feed(bytes([byte])))
        cutter.envelope()


def test_an_incomplete_list_is_an_error():
    cutter = ListObjects()

    assert list(cutter.feed(b'{"metadata":{"resourceVersion":"7"},"items":[{"a":1},{"b":')) == [b'{"a":1}']
    with pytest.raises(KubernetesError, match="incomplete"):
        cutter.envelope()


@pytest.mark.parametrize("prefix", [b"", b'{"items":[{"a":"'], ids=["no list", "no end of an item"])
def test_an_endless_answer_is_an_error_and_takes_bounded_memory(prefix):
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        cutter = ListObjects()
        list(cutter.feed(prefix))
        with pytest.raises(KubernetesError, match="expected a"):
            feed_again_and_again(cutter, piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2.5 * LARGEST_OBJECT_BYTES


def test_an_oversized_item_is_skipped_and_those_behind_it_are_read():
    cutter = ListObjects()
    found = list(cutter.feed(b'{"items":[{"a":1},{"b":"'))
    for _ in range(2 * LARGEST_OBJECT_BYTES // 65536):
        found += cutter.feed(b"\\" + b"x" * 65535)
    found += cutter.feed(b'"},{"c":3}],"metadata":{}}')

    assert found == [b'{"a":1}', b'{"c":3}']
    assert cutter.oversized == 1
    assert orjson.loads(cutter.envelope()) == {"items": [], "metadata": {}}


def test_an_oversized_line_is_skipped_and_those_behind_it_are_read():
    splitter = Lines()
    found = list(splitter.feed(b"one\n"))
    for _ in range(2 * LARGEST_OBJECT_BYTES // 65536):
        found += splitter.feed(b"x" * 65536)
    found += splitter.feed(b"\ntwo\n")

    assert found == [b"one", b"two"]
    assert splitter.oversized == 1


def test_an_endless_line_is_an_error():
    splitter = Lines()

    with pytest.raises(KubernetesError, match="expected an event"):
        feed_again_and_again(splitter, b"x" * 65536)
