"""One record misbehaves: records before and after it arrive, and the agent keeps running."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson

from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import stage

LIMIT = 1_048_576
"""Of CloudWatch for an event with its appended keys, and the default of `tail.max_record_bytes`."""
LEVELS = (400, 700, 990, 1_100)


def _nested(levels: int, size: int) -> bytes:
    alert = numbered_alert(50)
    bare = alert[:-1] + b',"deep":' + b"[" * levels + b"]" * levels + b',"x":"%b"}'
    return bare.replace(b"%b", b"p" * max(0, size - len(bare) + 2))


RECORDS: dict[str, Callable[[], bytes]] = {
    **{f"nested {levels} deep, over the limit": partial(_nested, levels, LIMIT - 50) for levels in LEVELS},
    "nested 100000 deep": lambda: _nested(100_000, 300_000),
    "lone surrogate": lambda: numbered_alert(50).replace(b'"rule":"', b'"rule":"\\ud800'),
    "not a number": lambda: numbered_alert(50)[:-1] + b',"x":NaN}',
    "number of many digits": lambda: numbered_alert(50)[:-1] + b',"x":%b}' % (b"9" * 400_000),
    "random bytes": lambda: random.Random(1).randbytes(50_000).replace(b"\n", b""),
    "text before the JSON": lambda: b"12:00:00.000: Critical " + numbered_alert(50, priority="Critical"),
    "very long key": lambda: numbered_alert(50)[:-1] + b',"%b":1}' % (b"k" * 900_000),
    "60,000 keys": lambda: orjson.dumps(orjson.loads(numbered_alert(50)) | {f"k{n}": n for n in range(60_000)}),
}


QUICK_RECORDS = ("nested 400 deep, over the limit", "lone surrogate", "not a number")


async def one_odd_record_does_not_stop_the_records_around_it(place: Path, kind: str) -> Result:
    result = Result()
    async with stage(place) as node:
        node.append(*alert_lines(range(20)))
        node.append(cri(RECORDS[kind]()))
        node.append(*alert_lines(range(100, 120), priority="Critical"))
        async with node.running():
            settled = await node.until_settled(20.0)
            result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-400:]}")
            if node.is_alive:
                result.expect(settled, "not settled")
                await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, [*range(20), *range(100, 120)])
    result.expect(len(found.events) >= 41, f"{len(found.events)} events for 41 records")
    found.expect_no_gap(result)
    return result


FIRST_LINES: dict[str, bytes] = {
    "blank": b"\n",
    "torn": b"2026-11-2",
    "text": b"Falco 0.42 is starting\n",
    "zero bytes": b"\0" * 500 + b"\n",
}


async def an_odd_first_line_does_not_change_the_format_of_the_file(place: Path, kind: str) -> Result:
    result = Result()
    async with stage(place) as node:
        first = FIRST_LINES[kind]
        node.append(first if first.endswith(b"\n") else first + b"\n", *alert_lines(range(5), priority="Critical"))
        async with node.running():
            await node.until_settled(20.0)
            await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, range(5), "shipped as text instead of as alerts")
    streams = {found.streams.get(number) for number in range(5)}
    result.expect(streams == {"node-a/urgent"}, f"Criticals went to {streams}")
    return result


SCENARIOS: tuple[IsolationScenario, ...] = (
    *variants(one_odd_record_does_not_stop_the_records_around_it, RECORDS, quick=QUICK_RECORDS),
    *variants(an_odd_first_line_does_not_change_the_format_of_the_file, FIRST_LINES),
)
