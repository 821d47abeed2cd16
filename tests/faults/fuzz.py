"""Hostile lines through everything that reads them: splitting, joining, decoding, truncating, batching.

`python -m tests.faults.fuzz --lines 100000 --seed 1` changes lines of a real Falco and of real runtimes, and adds lines
that are known to be difficult. After each file it checks: random chunks give the same records as one chunk; each record
is in a lane or filtered for a reason, and none is a defect; each event is JSON, within CloudWatch's limit and has the
right size; no event has a key or a source that the agent did not write; the urgent scan finds only records that reading
finds; events need at most one put for each day; and the file is committed to its end.

One line in a hundred is at a real limit: as large as a record or an event may be, or nested as deeply as the decoders
can just follow.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES, LONGEST_SPAN_MS, MOST_BYTES, MOST_EVENTS
from agent.core.batching.pending import PendingSpans
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.ledger import Ledger
from agent.core.reading.line_formats import Cri, Docker, LineFormat, Plain, recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records
from agent.core.reading.splitter import Splitter

DATA = Path(__file__).parent.parent / "data"
MOST_RECORD_BYTES = 1024 * 1024
EXTREME_SHARE = 0.01
NOW_MS = 1_795_424_400_000
LINES_A_FILE = 500

NASTY = (
    *(b"", b" ", b"\0", b"\r", b"\xff\xfe", b"\xed\xa0\x80", "\u2028\u0085".encode(), b"{", b"}", b"-0", b"1e999"),
    *(b"[" * 2000, b'{"a":' * 2000, b"9" * 400, b"x" * 70_000, b'"\\ud800"', b'{"log":"'),
    *(b"stdout F ", b" stdout F ", b" stderr P "),
    b'{"rule":"","priority":""}',
    b'{"rule":null,"priority":5}',
    b'{"rule":"R","priority":"Error","time":"9999-12-31T23:59:59.999999999Z"}',
    b'{"rule":"R","priority":"Error","output_fields":{"k8s.pod.name":[1]},"kubernetes":0,"falcowatch":{}}',
    b'{"rule":"R","priority":"Error","output":"' + b"\xff" * 30_000 + b'"}',
    *(b"\0" * 40, b"\0" * 70_000, b'"x":NaN,', b'"kubernetes":{}', rb'"\u0066alcowatch":{"id":"f:1"}'),
    b'{"rule":"Falcowatch: heartbeat","priority":"Informational","source":"falcowatch","time":"2026-11-23T07:23:01Z"}',
    b'{"source":"falcowatch","rule":"R","priority":"Critical","source":"syscall"}',
    b'{"rule":"R","priority":"Critical"},"falcowatch":{"id":"f:1","node":"n"}}',
    b"07:23:01.123456789: Critical A shell",
    b'{"rule":"R","priority":"Notice","time":"2026-11-02T07:23:01Z","output_fields":{"container.id":"3f2b8a342f11"}}',
    b'{"rule":"R","priority":"Notice","time":"2026-11-23T05:23:01Z","output_fields":{"container.id":"3f2b8a342f11"}}',
)


@dataclass(slots=True)
class Result:
    """Totals of one call."""

    lines: int = 0
    records: int = 0
    events: int = 0
    slowest_seconds: float = 0.0


def corpus() -> list[bytes]:
    lines: list[bytes] = []
    for path in sorted(DATA.glob("falco/**/*")) + sorted(DATA.glob("logs/**/*")):
        if path.is_file() and path.suffix not in (".gz", ".md"):
            lines += path.read_bytes().split(b"\n")[:60]
    return [line[:100_000] for line in lines]


def hostile(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A line: a real one, damaged at random or on purpose."""
    line = bytearray(chance.choice(seeds) if chance.random() < 0.85 else chance.choice(NASTY))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        at = chance.randrange(len(line) + 1)
        match chance.randrange(6):
            case 0:
                line[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                line[at:at] = chance.choice(NASTY)
            case 2:
                del line[at : at + chance.choice((1, 3, 40))]
            case 3:
                line[at:at] = line[at : at + 200]
            case 4:
                del line[at:]
            case 5:
                other = chance.choice(seeds)
                line[at:] = other[chance.randrange(len(other) + 1) :]
    # Where an overlong line is given up depends on the chunks; tests/core/reading/test_splitter.py tests these lines.
    text = bytes(line[:100_000]).replace(b"\n", b" ")
    if chance.random() < 0.6:
        stream, tag = chance.choice((b"stdout", b"stderr")), chance.choice((b"F", b"F", b"F", b"P", b"F:x", b""))
        text = b"2026-11-23T07:23:01.%d %b %b %b" % (chance.randrange(10**9), stream, tag, text)
        text = text.replace(b" stdout", b"Z stdout", 1).replace(b" stderr", b"Z stderr", 1)
    return text


def extreme(chance: random.Random) -> bytes:
    """A line at a limit of size or of depth."""
    depth = chance.choice((1, 1, 30, 400, 495, 900, 985, 1000, 1024, 1100))
    size = chance.choice((10, 1000, MOST_RECORD_BYTES // 7, LARGEST_MESSAGE_BYTES - 600, MOST_RECORD_BYTES - 600))
    opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nested = opened * depth + b"1" + closed * depth
    text = chance.choice((b"x", b"\\u0001", b"\xff", "\u00fc".encode(), b'\\"', b"\x01")) * size
    # Shorter than an overlong line; see `hostile`.
    text = text[: min(size, chance.choice((LARGEST_MESSAGE_BYTES, MOST_RECORD_BYTES)) - 400 - len(nested))]
    head = b'{"output":"%b","output_fields":{"nested":%b},"priority":"%b","rule":"R"' % (
        text.rstrip(b"\\"),
        nested,
        chance.choice((b"Critical", b"Notice")),
    )
    more = chance.choice((b"", b',"source":"internal"', b',"kubernetes":1', b',"time":"2026-11-01T07:23:01.5Z"'))
    return b"2026-11-23T07:23:01.%09dZ stdout %b %b%b}" % (
        chance.randrange(10**9),
        chance.choice((b"F", b"F", b"F", b"P")),
        head,
        more,
    )


@contextmanager
def deeper_stack() -> Iterator[None]:
    """For the checks alone: an event may be nested as deeply as the alert in it was."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def records_of(data: bytes, line_format: LineFormat, pieces: list[int]) -> Iterator[tuple[Records, int]]:
    """The records of each piece, and up to where the file may be committed after it."""
    splitter, joiner = Splitter(0, line_format.longest_line(MOST_RECORD_BYTES)), Joiner(line_format, MOST_RECORD_BYTES)
    start = 0
    for size in [*pieces, len(data)]:
        split = splitter.feed(data[start : start + size], 0.0)
        start += size
        records = joiner.feed(split.lines, split.offset, 0.0)
        records.unusual += [split.overlong] if split.overlong else []
        yield records, joiner.committable(splitter.offset)
    split = splitter.finish()
    records = joiner.feed(split.lines, split.offset, 0.0)
    records.unusual += [split.overlong] if split.overlong else []
    yield records, joiner.committable(splitter.offset)
    yield joiner.close_incomplete(), len(data)


def play(lines: list[bytes], chance: random.Random, result: Result) -> None:
    """Reads one file of these lines. Raises AssertionError if a promise is broken."""
    data = b"\n".join(lines) + chance.choice((b"", b"\n"))
    for line_format in (Cri(), Docker(), Plain(), recognise(data[:1024])):
        processor, ledger, waiting = (
            Processor(Policy("notice", drop_rules=("Read*",)), node="n"),
            Ledger(),
            PendingSpans(),
        )
        began = time.perf_counter()
        pieces = [chance.choice((1, 100, 5000, 70_000, 262_144)) for _ in range(chance.randrange(60))]
        seen: list[tuple[int, bytes]] = []
        for records, end in records_of(data, line_format, pieces):
            entry = ledger.enter(max(end, ledger.end), len(records))
            processed = processor.process(
                records, file="f", line_format=line_format, now_ms=NOW_MS, find=lambda key, time_ms: HOST
            )
            held = sum(map(len, processed.spans.values()))
            assert held + sum(processed.filtered.values()) == len(records), "a record is neither in a lane nor filtered"
            assert not processed.defects, "a record met an exception that nobody foresaw"
            assert not [one for one in records.unusual if one.mark.defect], "a line met an unforeseen exception"
            for span in processed.spans.values():
                if len(span):
                    span.entry = entry
                    waiting.add(span)
            if processed.filtered:
                entry.settle(sum(processed.filtered.values()))
            seen += zip(records.offsets, records.payloads, strict=True)
            seen += [(one.offset, one.payload) for one in records.unusual]
            result.records += len(records)
        days: dict[int, list[int]] = {}
        while waiting.events:
            batch = waiting.take(NOW_MS)
            assert batch.counted_bytes <= MOST_BYTES
            for event in orjson.loads(b"".join(batch.encode())):
                assert len(event["message"].encode()) <= LARGEST_MESSAGE_BYTES
                check_event(event["message"])
            days.setdefault(batch.timestamps[0] // LONGEST_SPAN_MS, []).append(batch.counted_bytes)
            result.events += batch.events
            batch.settle()
        for sizes in days.values():
            assert len(sizes) <= 1 + 2 * sum(sizes) // MOST_BYTES + result.events // MOST_EVENTS, "too many puts a day"
        assert ledger.committed == len(data), "something was never settled"
        whole = [
            (offset, payload) for records, _ in records_of(data, line_format, []) for offset, payload in _flat(records)
        ]
        assert sorted(seen) == sorted(whole), (
            f"other chunks give other records: {[(o, p[:80], len(p)) for o, p in {*seen} ^ {*whole}]}"
        )
        found = UrgentMatcher("critical").find(data, 0, line_format, MOST_RECORD_BYTES)
        unread = {*zip(found.offsets, found.payloads, strict=True)} - {*whole}
        assert not unread or b" P " in data, "the urgent scan finds a record that reading does not find"
        result.slowest_seconds = max(result.slowest_seconds, time.perf_counter() - began)
    result.lines += len(lines)


def check_event(message: str) -> None:
    """An event is a JSON object that ends with the agent's own object, and the agent's keys stand nowhere else."""
    with deeper_stack():
        pairs = json.loads(message, object_pairs_hook=list)
    assert isinstance(pairs, list)
    keys = [key for key, _ in pairs]
    assert keys[-1] == "falcowatch", "the agent's object is missing"
    assert not {"kubernetes", "falcowatch"} & {*keys[:-1]}, "a forged key ships as the agent's"
    assert ("source", "falcowatch") not in [tuple(pair) for pair in pairs if isinstance(pair[1], str)]
    assert [key for key, _ in pairs[-1][1]][:2] == ["id", "node"]


def _flat(records: Records) -> list[tuple[int, bytes]]:
    return list(zip(records.offsets, records.payloads, strict=True)) + [
        (one.offset, one.payload) for one in records.unusual
    ]


def run(lines: int, seed: int) -> Result:
    chance, seeds, result = random.Random(seed), corpus(), Result()
    while result.lines < lines:
        count = min(LINES_A_FILE, lines - result.lines)
        play(
            [extreme(chance) if chance.random() < EXTREME_SHARE else hostile(chance, seeds) for _ in range(count)],
            chance,
            result,
        )
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.stdout.write(f"{run(given.lines, given.seed)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
