"""Joining parts of records: what real runtimes wrote, and properties over any lines and any chunks."""

import gzip
import itertools
import tracemalloc
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.reading.line_formats import Cri, Docker, LineFormat, Plain, recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Mark, Records, UnusualRecord
from agent.core.reading.splitter import Splitter

CASES = Path(__file__).parents[2] / "data" / "cases"
LOGS = Path(__file__).parents[2] / "data" / "logs"


STAMP = b"2026-11-23T07:23:01.156686905Z"


MOST = 1 << 20


Seen = tuple[bytes, int, bool]


def records_of(data: bytes, cuts: list[int], line_format: LineFormat | None = None, most: int = MOST) -> list[Seen]:
    """Payload, offset and `incomplete` of every record, in order of offset, if the data comes in these chunks."""
    line_format = line_format or recognise(data[:1024])
    splitter, joiner = Splitter(0, line_format.longest_line(most)), Joiner(line_format, most)
    found: list[Seen] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        split = splitter.feed(data[start:stop], 0.0)
        found += flat(joiner.feed(split.lines, split.offset, 0.0))
        if split.overlong:
            found.append((split.overlong.payload, split.overlong.offset, False))
    assert splitter.end == len(data)
    last = splitter.finish()
    found += flat(joiner.feed(last.lines, last.offset, 0.0))
    if last.overlong:
        found.append((last.overlong.payload, last.overlong.offset, False))
    found += flat(joiner.close_incomplete())
    return sorted(found, key=lambda seen: seen[1])


def flat(records: Records) -> list[Seen]:
    assert len(records.payloads) == len(records.offsets) == len(records.lines)
    assert not [one for one in records.unusual if one.mark.defect]
    plain = [(payload, offset, False) for payload, offset in zip(records.payloads, records.offsets, strict=True)]
    return plain + [(unusual.payload, unusual.offset, unusual.mark.incomplete) for unusual in records.unusual]


def cri(stream: str, tag: str, text: bytes) -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream.encode(), tag.encode(), text)


@pytest.mark.parametrize(
    ("name", "line_format"),
    [("containerd-cri/app/0.log.20261123-072301", Cri), ("podman-k8s-file.log", Cri), ("docker-json.log", Docker)],
)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=12))
def test_logs_of_real_runtimes_give_the_same_records_with_any_chunks(
    name: str, line_format: type, cuts: list[int]
) -> None:
    data = (LOGS / name).read_bytes()

    assert isinstance(recognise(data[:1024]), line_format)
    assert records_of(data, cuts) == records_of(data, [])


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("containerd-cri/app/0.log.20261123-072301", 40_000),
        ("podman-k8s-file.log", 20_480),
        ("docker-json.log", 20_480),
    ],
)
def test_parts_of_real_runtimes_join_to_the_lines_that_were_printed(name: str, printed: int) -> None:
    payloads = [payload for payload, _, _ in records_of((LOGS / name).read_bytes(), [])]

    assert b"A" * printed + b"END" in payloads
    if name != "docker-json.log":  # dockerd replaces the characters that it cuts
        assert "日本".encode() * 12_000 in payloads


def test_kubelet_s_rotated_files_hold_one_unbroken_sequence() -> None:
    files = [
        gzip.decompress((LOGS / "kubelet/0.log.20261123-073723.gz").read_bytes()),
        (LOGS / "kubelet/0.log.20261123-073733").read_bytes(),
        (LOGS / "kubelet/0.log").read_bytes(),
    ]
    joiner, payloads = Joiner(Cri(), MOST), []
    for data in files:
        joiner.start_next_file("before")
        split = Splitter(0, MOST).feed(data, 0.0)
        payloads += [
            seen[0] for seen in sorted(flat(joiner.feed(split.lines, split.offset, 0.0)), key=lambda seen: seen[1])
        ]

    numbers = [int(payload.split()[1]) for payload in payloads if payload.startswith(b"seq ")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert not joiner.open_records


raw = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))
texts = raw.map(lambda text: text.replace(b"\0", b"0"))


lines = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from(["F", "P", "F:x"]), texts), max_size=30
)


junk = st.one_of(
    texts,
    st.just(b""),
    texts.map(lambda text: STAMP + b" stdout F" + text),
    texts.map(lambda text: STAMP + b" " + text),
)


@given(lines=lines, cuts=st.lists(st.integers(0, 4000), max_size=10))
def test_any_interleaving_of_streams_and_parts_joins_by_stream(
    lines: list[tuple[str, str, bytes]], cuts: list[int]
) -> None:
    data = b"".join(cri(*line) for line in lines)
    expected: list[Seen] = []
    open_parts: dict[str, tuple[int, bytes]] = {}
    offset = 0
    for stream, tag, text in lines:
        start, before = open_parts.pop(stream, (offset, b""))
        if tag == "P":
            open_parts[stream] = (start, before + text)
        else:
            expected.append((before + text, start, False))
        offset += len(cri(stream, tag, text))
    expected += [(text, start, True) for start, text in open_parts.values()]

    assert records_of(data, cuts, Cri()) == sorted(expected, key=lambda seen: seen[1])


@given(
    data=st.lists(st.one_of(junk, raw, st.just(b"\0" * 60)), max_size=20).map(b"\n".join),
    cuts=st.lists(st.integers(0, 4000), max_size=10),
)
@pytest.mark.parametrize("line_format", [Cri, Docker, Plain])
def test_any_bytes_give_the_same_records_with_any_chunks(line_format: type, data: bytes, cuts: list[int]) -> None:
    assert records_of(data, cuts, line_format()) == records_of(data, [], line_format())


@given(
    lines=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), texts), max_size=20),
    split=st.integers(0, 20),
)
def test_a_partial_record_across_a_rotation_is_one_record_and_names_its_origin(
    lines: list[tuple[str, str, bytes]], split: int
) -> None:
    joiner = Joiner(Cri(), MOST)
    before, after = lines[:split], lines[split:]
    whole = records_of(b"".join(cri(*line) for line in lines), [], Cri())
    boundary = sum(len(cri(*line)) for line in before)

    first = joiner.feed([cri(*line) for line in before], 0, 0.0)
    left = joiner.open_records
    assert joiner.start_next_file("first") == 0
    second = joiner.feed([cri(*line) for line in after], 0, 0.0)
    rest = joiner.close_incomplete()

    found = flat(first)
    for records in (second, rest):
        found += [(p, o + boundary, False) for p, o in zip(records.payloads, records.offsets, strict=True)]
        found += [
            (
                unusual.payload,
                unusual.mark.origin[1] if unusual.mark.origin else unusual.offset + boundary,
                unusual.mark.incomplete,
            )
            for unusual in records.unusual
        ]
    assert sorted(found, key=lambda seen: seen[1]) == whole
    assert second.from_previous_file + rest.from_previous_file == left


def test_a_partial_record_across_two_rotations_keeps_its_first_origin() -> None:
    joiner = Joiner(Cri(), MOST)
    joiner.feed([cri("stdout", "P", b"a")], 7, 0.0)

    assert joiner.start_next_file("one") == 0
    assert joiner.start_next_file("two") == 1
    records = joiner.feed([cri("stdout", "F", b"b")], 0, 0.0)

    assert records.unusual == [UnusualRecord(b"ab", 0, cri("stdout", "P", b"a"), Mark(origin=("one", 7)))]


def test_a_file_may_be_committed_up_to_its_oldest_partial_record() -> None:
    joiner = Joiner(Cri(), MOST)

    joiner.feed([cri("stdout", "F", b"a"), cri("stderr", "P", b"b")], 0, 5.0)
    joiner.feed([cri("stdout", "P", b"c")], 100, 9.0)

    assert joiner.committable(300) == len(cri("stdout", "F", b"a"))
    assert joiner.waiting_since == 5.0
    joiner.feed([cri("stderr", "F", b"")], 200, 9.0)
    assert joiner.committable(300) == len(cri("stdout", "F", b"a")), "from 100 on its last part would be read alone"
    joiner.feed([cri("stdout", "F", b"")], 250, 9.0)
    assert joiner.committable(300) == 300
    assert joiner.waiting_since is None


@given(parts=st.lists(texts, min_size=2, max_size=20))
def test_a_record_over_the_limit_keeps_its_head_its_size_and_its_digest(parts: list[bytes]) -> None:
    joiner, whole = Joiner(Cri(), 16), b"".join(parts)

    records = joiner.feed([cri("stdout", "P", part) for part in parts[:-1]], 0, 0.0)
    records = joiner.feed([cri("stdout", "F", parts[-1])], 5000, 0.0)

    if len(whole) <= 16:
        assert records.payloads == [whole]
    else:
        assert [(unusual.payload, unusual.mark) for unusual in records.unusual] == [
            (whole[:16], Mark(size=len(whole), digest=sha256(whole).hexdigest()))
        ]


@given(
    lines=st.lists(
        st.one_of(
            junk.map(lambda line: line + b"\n"),
            st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), texts).map(lambda line: cri(*line)),
        ),
        max_size=20,
    )
)
def test_both_ways_of_joining_have_the_same_result(lines: list[bytes]) -> None:
    joiner, one_by_one, expected = Joiner(Cri(), 64), Joiner(Cri(), 64), Records()
    offset = 0

    records = joiner.feed(lines, 0, 0.0)
    for line in lines:
        one_by_one._add_line(line, offset, 0.0, expected)
        offset += len(line)

    assert records == expected
    assert joiner.committable(offset) == one_by_one.committable(offset)


def test_a_line_that_raises_is_a_defect_and_the_lines_around_it_are_read() -> None:
    class Failing(Cri):
        def text(self, line: bytes) -> tuple[str, bytes, bool] | None:
            if b"bad" in line:
                raise ZeroDivisionError
            return super().text(line)

    lines = [cri("stdout", "F", b"a"), cri("stderr", "F", b"bad"), cri("stdout", "F", b"b")]

    records = Joiner(Failing(), MOST).feed(lines, 100, 0.0)

    assert records.payloads == [b"a", b"b"]
    [defect] = records.unusual
    assert (defect.payload, defect.offset) == (lines[1][:-1], 100 + len(lines[0]))
    assert isinstance(defect.mark.defect, ZeroDivisionError)


@pytest.mark.parametrize("name", ["blank.cri", "nul.docker", "text.cri", "torn.cri", "torn.docker"])
@given(cuts=st.lists(st.integers(0, 5000), max_size=5))
def test_the_records_behind_a_first_line_of_another_format_are_read(name: str, cuts: list[int]) -> None:
    data = (CASES / f"first-line-{name}.log").read_bytes()

    payloads = [payload for payload, _, _ in records_of(data, cuts)]

    assert [orjson.loads(payload)["priority"] for payload in payloads[-3:]] == ["Critical"] * 3
    assert len(payloads) <= 4


@pytest.mark.parametrize("name", ["docker", "plain"])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_the_record_behind_a_hole_is_read(name: str, cuts: list[int]) -> None:
    data = (CASES / f"nul-before-record.{name}.log").read_bytes()

    payloads = [payload for payload, _, _ in records_of(data, cuts)]

    assert [orjson.loads(payload)["priority"] for payload in payloads] == ["Critical"] * 3


@pytest.mark.parametrize(
    "first", [b"", b"2026-11-23T07:23:01.15", STAMP + b' stdout F {"torn', b'{"torn', b'{"log":"torn']
)
@pytest.mark.parametrize("hole", [1, 100, 3_000])
@pytest.mark.parametrize("line_format", [Cri, Docker, Plain])
@given(cuts=st.lists(st.integers(0, 5000), max_size=5))
def test_a_hole_of_any_size_ends_a_torn_line_and_is_skipped(
    first: bytes, hole: int, line_format: type[Cri | Docker | Plain], cuts: list[int]
) -> None:
    formats: dict[type, bytes] = {
        Cri: cri("stdout", "F", b"{}"),
        Docker: b'{"log":"{}\\n","stream":"stdout","time":"2026-11-23T07:23:01Z"}\n',
        Plain: b"{}\n",
    }
    record = formats[line_format]
    data = record + first + b"\0" * hole + record

    seen = records_of(data, cuts, line_format(), most=500)

    assert [(payload, offset) for payload, offset, _ in seen if payload == b"{}"] == [
        (b"{}", 0),
        (b"{}", len(record) + len(first) + hole),
    ]
    assert len(seen) == (3 if first else 2)


@given(
    lines=st.lists(
        st.sampled_from([cri("stdout", "F", b"{}"), b'{"log":"{}\\n","stream":"stdout"}\n', b"{}\n", b"torn\n"])
    )
)
@pytest.mark.parametrize("line_format", [Cri, Docker, Plain])
def test_each_line_is_read_by_its_own_format(line_format: type, lines: list[bytes]) -> None:
    payloads = [payload for payload, _, _ in records_of(b"".join(lines), [], line_format())]

    assert payloads == [b"torn" if line == b"torn\n" else b"{}" for line in lines]


def test_parts_of_two_bytes_do_not_cost_more_memory_than_their_bytes() -> None:
    joiner, part = Joiner(Cri(), MOST), cri("stdout", "P", b"ab")
    tracemalloc.start()

    for _ in range(100):
        joiner.feed([part] * 1000, 0, 0.0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert joiner.held_bytes == 200_000
    assert held < 400_000
