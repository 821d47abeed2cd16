"""What each runtime writes on a line, and how its format is recognised."""

import pytest

from agent.core.reading.line_formats import Cri, Docker, LineFormat, Plain, recognise

STAMP = b"2026-11-23T07:23:01.156686905Z"


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


def test_a_cri_stamp_is_read_only_from_a_cri_line() -> None:
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


def test_a_docker_stamp_is_empty_for_another_line() -> None:
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
def test_a_file_s_format_is_recognised_by_its_first_line_even_if_that_is_long(head: bytes, kind: type) -> None:
    assert isinstance(recognise(head), kind)


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
