"""Cutting and joining: tables of what runtimes write, and properties over any bytes and any cuts."""

import gzip
import itertools
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.reading.line_formats import Cri, Docker, LineFormat, Plain, recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Mark, Odd, Records
from agent.core.reading.splitter import Splitter

LOGS = Path(__file__).parents[2] / "data" / "logs"
STAMP = b"2026-11-23T07:23:01.156686905Z"
MOST = 1 << 20

Seen = tuple[bytes, int, bool]


def records_of(data: bytes, cuts: list[int], line_format: LineFormat | None = None, most: int = MOST) -> list[Seen]:
    """Payload, offset and `incomplete` of every record, in order of offset, when data comes in these pieces."""
    line_format = line_format or recognise(data[:1024])
    splitter, joiner = Splitter(0, line_format.longest_line(most)), Joiner(line_format, most)
    found: list[Seen] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        cut = splitter.feed(data[start:stop], 0.0)
        found += flat(joiner.feed(cut.lines, cut.offset, 0.0))
        if cut.overlong:
            found.append((cut.overlong.payload, cut.overlong.offset, False))
    assert splitter.end == len(data)
    last = splitter.finish()
    found += flat(joiner.feed(last.lines, last.offset, 0.0))
    if last.overlong:
        found.append((last.overlong.payload, last.overlong.offset, False))
    found += flat(joiner.give_up())
    return sorted(found, key=lambda seen: seen[1])


def flat(records: Records) -> list[Seen]:
    assert len(records.payloads) == len(records.offsets) == len(records.lines)
    plain = [(payload, offset, False) for payload, offset in zip(records.payloads, records.offsets, strict=True)]
    return plain + [(odd.payload, odd.offset, odd.mark.incomplete) for odd in records.odd]


def cri(stream: str, tag: str, text: bytes) -> bytes:
    return b"%b %b %b %b\n" % (STAMP, stream.encode(), tag.encode(), text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (STAMP + b" stdout F text", ("stdout", b"text", False)),
        (STAMP + b" stderr P text ", ("stderr", b"text ", True)),
        (b"2026-11-23T07:22:59.11699535Z stdout F a", ("stdout", b"a", False)),
        (b"2026-11-23T07:22:59Z stdout F a", ("stdout", b"a", False)),
        (b"2026-11-23T07:11:51.376289812+00:00 stdout F a", ("stdout", b"a", False)),
        (b"2026-11-23T07:11:51.376289812-05:30 stdout F a", ("stdout", b"a", False)),
        (STAMP + b" stdout F ", ("stdout", b"", False)),
        (STAMP + b" stdout F", ("stdout", b"", False)),
        (STAMP + b" stdout F:more:tags text", ("stdout", b"text", False)),
        (STAMP + b" stdout X text", None),
        (STAMP + b" stdin F text", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_a_cri_line_has_stamp_stream_tags_and_text(line: bytes, expected: tuple[str, bytes, bool] | None) -> None:
    assert Cri().text(line) == expected


def test_a_cri_stamp_is_read_only_from_a_line_of_the_grammar() -> None:
    assert Cri().stamp(STAMP + b" stdout F") == STAMP.decode()
    assert Cri().stamp(b"nothing of the kind") == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"log":"a\\n","stream":"stderr","time":"t"}', ("stderr", b"a", False)),
        (b'{"log":"a","stream":"stdout","time":"t"}', ("stdout", b"a", True)),
        (b'{"log":"\\n"}', ("stdout", b"", False)),
        (b'{"log":1}', None),
        (b'{"log":"a', None),
        (b'{"log":"\xe6\xff"}', None),
        (b'{"log":' + b"[" * 100_000, None),
        (b'{"attrs":' + b'{"a":' * 100_000, None),
    ],
)
def test_a_docker_line_is_an_object_with_a_log(line: bytes, expected: tuple[str, bytes, bool] | None) -> None:
    assert Docker().text(line) == expected


def test_a_docker_stamp_is_empty_for_a_line_outside_the_grammar() -> None:
    assert Docker().stamp(b'{"log":"a\\n","time":"2026"}') == "2026"
    assert Docker().stamp(b"[" * 100_000) == ""


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (STAMP + b" stdout F text\nmore", Cri),
        (STAMP + b" stdout F", Cri),
        (b'{"log":"a\\n","stream":"stdout","time":"t"}\n', Docker),
        (b'{"log":"' + b"a" * 1016, Docker),
        (b'{"log":5}\n', Plain),
        (b'{"hostname":"vm","output":"\n', Plain),
        (b"", Plain),
    ],
)
def test_a_file_s_grammar_is_told_by_its_first_line_even_when_that_is_long(head: bytes, kind: type) -> None:
    assert isinstance(recognise(head), kind)


@pytest.mark.parametrize(
    ("name", "line_format"),
    [("containerd-cri/app/0.log.20261123-072301", Cri), ("podman-k8s-file.log", Cri), ("docker-json.log", Docker)],
)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=12))
def test_what_a_real_runtime_wrote_gives_the_same_records_however_it_is_cut(
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
        joiner.cross("before")
        cut = Splitter(0, MOST).feed(data, 0.0)
        payloads += [
            payload for payload, _, _ in sorted(flat(joiner.feed(cut.lines, cut.offset, 0.0)), key=lambda seen: seen[1])
        ]

    numbers = [int(payload.split()[1]) for payload in payloads if payload.startswith(b"seq ")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert not joiner.open_runs


texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" "))
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
    data=st.lists(st.one_of(junk, texts), max_size=20).map(b"\n".join), cuts=st.lists(st.integers(0, 4000), max_size=10)
)
@pytest.mark.parametrize("line_format", [Cri, Docker, Plain])
def test_any_bytes_at_all_give_the_same_records_however_they_are_cut(
    line_format: type, data: bytes, cuts: list[int]
) -> None:
    assert records_of(data, cuts, line_format()) == records_of(data, [], line_format())


@given(
    lines=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), texts), max_size=20),
    split=st.integers(0, 20),
)
def test_a_run_that_crosses_a_rotation_is_one_record_and_names_where_it_began(
    lines: list[tuple[str, str, bytes]], split: int
) -> None:
    joiner = Joiner(Cri(), MOST)
    before, after = lines[:split], lines[split:]
    whole = records_of(b"".join(cri(*line) for line in lines), [], Cri())
    boundary = sum(len(cri(*line)) for line in before)

    first = joiner.feed([cri(*line) for line in before], 0, 0.0)
    left = joiner.open_runs
    assert joiner.cross("first") == 0
    second = joiner.feed([cri(*line) for line in after], 0, 0.0)
    rest = joiner.give_up()

    found = flat(first)
    for records in (second, rest):
        found += [(p, o + boundary, False) for p, o in zip(records.payloads, records.offsets, strict=True)]
        found += [
            (odd.payload, odd.mark.origin[1] if odd.mark.origin else odd.offset + boundary, odd.mark.incomplete)
            for odd in records.odd
        ]
    assert sorted(found, key=lambda seen: seen[1]) == whole
    assert second.crossed + rest.crossed == left


def test_a_run_that_crosses_twice_keeps_its_first_origin() -> None:
    joiner = Joiner(Cri(), MOST)
    joiner.feed([cri("stdout", "P", b"a")], 7, 0.0)

    assert joiner.cross("one") == 0
    assert joiner.cross("two") == 1
    records = joiner.feed([cri("stdout", "F", b"b")], 0, 0.0)

    assert records.odd == [Odd(b"ab", 0, cri("stdout", "P", b"a"), Mark(origin=("one", 7)))]


def test_a_file_may_be_committed_up_to_its_oldest_open_run() -> None:
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


@given(parts=st.lists(st.binary(max_size=64).map(lambda part: part.replace(b"\n", b" ")), min_size=2, max_size=20))
def test_a_record_over_the_limit_keeps_its_head_its_size_and_its_digest(parts: list[bytes]) -> None:
    joiner, whole = Joiner(Cri(), 16), b"".join(parts)

    records = joiner.feed([cri("stdout", "P", part) for part in parts[:-1]], 0, 0.0)
    records = joiner.feed([cri("stdout", "F", parts[-1])], 5000, 0.0)

    if len(whole) <= 16:
        assert records.payloads == [whole]
    else:
        assert [(odd.payload, odd.mark) for odd in records.odd] == [
            (whole[:16], Mark(size=len(whole), digest=sha256(whole).hexdigest()))
        ]


@given(
    before=st.lists(texts, max_size=4),
    long=st.binary(min_size=300, max_size=900).map(lambda text: text.replace(b"\n", b" ")),
    after=st.lists(texts, max_size=4),
    size=st.integers(1, 200),
    ended=st.booleans(),
)
def test_after_a_line_longer_than_is_ever_held_the_file_goes_on_at_the_next_newline(
    before: list[bytes], long: bytes, after: list[bytes], size: int, ended: bool
) -> None:
    data = b"\n".join([*before, long, *after]) if ended else b"\n".join([*before, long])
    splitter, odd, seen = Splitter(0, 64), [], []
    for start in range(0, len(data), size):
        cut = splitter.feed(data[start : start + size], 0.0)
        odd += [cut.overlong] if cut.overlong else []
        seen += [line[:-1] for line in cut.lines]
    assert splitter.end == len(data)
    last = splitter.finish()
    odd += [last.overlong] if last.overlong else []
    seen += [line[:-1] for line in last.lines]

    held_whole = [line for line in seen if line == long]
    if not held_whole:
        mark = Mark(size=len(long), digest=sha256(long).hexdigest())
        assert [(o.payload, o.offset, o.mark) for o in odd] == [
            (long[:64], sum(len(line) + 1 for line in before), mark)
        ]
    rest = [line for line in seen if line != long]
    expected = before + (after if ended else [])
    if expected and rest != expected:
        assert expected[-1] == b""  # an empty last line is no line
        assert rest == expected[:-1]


def test_letting_go_of_no_line_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no line is overlong"):
        Splitter(0, 10)._let_go()


@given(
    lines=st.lists(
        st.one_of(
            junk.map(lambda line: line + b"\n"),
            st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), texts).map(lambda line: cri(*line)),
        ),
        max_size=20,
    )
)
def test_the_fast_path_of_joining_agrees_with_the_careful_one(lines: list[bytes]) -> None:
    joiner, careful, expected = Joiner(Cri(), 64), Joiner(Cri(), 64), Records()
    offset = 0

    records = joiner.feed(lines, 0, 0.0)
    for line in lines:
        careful._careful(line, offset, 0.0, expected)
        offset += len(line)

    assert records == expected
    assert joiner.committable(offset) == careful.committable(offset)


@pytest.mark.parametrize("line_format", [Cri(), Docker(), Plain()])
def test_a_record_of_the_longest_size_fits_on_a_line_of_the_longest_length(line_format: LineFormat) -> None:
    record = b"\x07" * 1000
    line = {Cri: cri("stderr", "F", record)[:-1], Plain: record}.get(
        type(line_format),
        b'{"log":"' + b"\\u0007" * 1000 + b'\\n","stream":"stdout","time":"2026-11-23T07:35:16.09850447Z"}',
    )

    assert len(line) <= line_format.longest_line(1000)
    assert line_format.text(line) == ("stderr" if isinstance(line_format, Cri) else "stdout", record, False)


def test_a_plain_line_has_no_stamp() -> None:
    assert Plain().stamp(b"2026-11-23T07:35:16Z") == ""


def test_records_count_the_usual_and_the_odd() -> None:
    assert len(Records([b"a"], [0], [b"a"], [Odd(b"b", 2, b"b", Mark())])) == 2
