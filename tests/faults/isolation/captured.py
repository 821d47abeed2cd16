"""Log files that failed when they were tried (tests/data/cases), through the whole agent.

The time stamps in the files are shifted so that the first of them is a minute ago; all distances between times stay.
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.isolation.arrivals import Arrivals, arrivals
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import stage

CASES = Path(__file__).parents[2] / "data" / "cases"
_STAMP = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
_RECORDED_AT = datetime(2026, 11, 24, 6, tzinfo=UTC)
_FORMAT = "%Y-%m-%dT%H:%M:%S"

Alerts = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """What must arrive of one file."""

    events: int
    """At least this number of events, in all streams."""
    alerts: int
    """Events with the fields `rule` and `priority` that have a time and are not wrapped."""
    urgent: int
    """Events in the urgent stream."""
    check: Callable[[Arrivals], str | None] = lambda _: None
    """The problem with the events, or None."""
    max_puts: int = 100


def _text_has_fields(found: Arrivals) -> str | None:
    priorities = [entry.get("priority") for entry in found.events]
    return None if priorities.count("Critical") == 1 else f"no field names the priority: {priorities}"


def _forged_are_marked(found: Arrivals) -> str | None:
    for entry in found.events:
        own = entry.get("falcowatch")
        if not isinstance(own, dict) or own.get("node") != "node-a":
            return f"falcowatch is {own}"
        if entry.get("source") == "falcowatch" and entry.get("rule") == "Falcowatch: heartbeat":
            return "a forged heartbeat looks like the agent's own"
    return None


CASES_BY_NAME: dict[str, Case] = {
    "first-line-blank.cri.log": Case(3, 3, 3),
    "first-line-text.cri.log": Case(4, 3, 3),
    "first-line-torn.cri.log": Case(4, 3, 3),
    "first-line-torn.docker.log": Case(4, 3, 3),
    "first-line-nul.docker.log": Case(3, 3, 3),
    "nul-before-record.docker.log": Case(3, 3, 3),
    "nul-before-record.plain.log": Case(3, 3, 3),
    "text-output.cri.log": Case(3, 0, 1, _text_has_fields),
    "internal-without-source.cri.log": Case(1, 1, 1),
    "reserved-keys.cri.log": Case(4, 0, 0, _forged_are_marked),
    "wrong-clock.cri.log": Case(5, 5, 0),
    "deep-oversized.cri.log.gz": Case(3, 2, 0),
    "scattered-times.cri.log": Case(60, 60, 0, max_puts=25),
}


async def a_log_that_failed_before_arrives(place: Path, name: str) -> Result:
    result = Result()
    case = CASES_BY_NAME[name]
    data = (CASES / name).read_bytes()
    data = _shifted(gzip.decompress(data) if name.endswith(".gz") else data)
    is_cri = ".cri." in name
    async with stage(place) as node:
        if is_cri:
            path, settings = node.live, {}
        else:
            path = place / "logs" / "falco.log"
            path.parent.mkdir(parents=True)
            settings = {"tail__root": "", "tail__paths": f'["{path}"]'}
        node.append(data, path=path)
        arguments: Any = settings
        async with node.running(**arguments):
            settled = await node.until_settled(20.0)
            result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-300:]}")
            if node.is_alive:
                result.expect(settled, "not settled")
                puts = sum((await node.statistics())["operations"].get("PutLogEvents", {}).values())
                await node.agent.terminate()
                result.measured["puts"] = puts
                result.expect(puts <= case.max_puts, f"{puts} puts, expected at most {case.max_puts}")
    found = await arrivals(place)
    own = [entry for entry in found.events if entry.get("rule") in found.own_rules]
    alerts = [entry for entry in found.events if "rule" in entry and "log" not in entry and entry not in own]
    urgent = found.by_stream.get("node-a/urgent", 0)
    result.measured |= {"events": len(found.events), "alerts": len(alerts), "urgent": urgent}
    result.expect(len(found.events) >= case.events, f"{len(found.events)} events, expected {case.events}")
    result.expect(len(alerts) >= case.alerts, f"{len(alerts)} alerts, expected {case.alerts}")
    result.expect(urgent >= case.urgent, f"{urgent} urgent events, expected {case.urgent}")
    if problem := case.check(found):
        result.problems.append(problem)
    found.expect_no_gap(result)
    return result


def _shifted(data: bytes) -> bytes:
    """All times moved by the same number of seconds, so that the file's recording was a minute ago."""
    delta = int(time.time()) - 60 - int(_RECORDED_AT.timestamp())

    def moved(stamp: re.Match[bytes]) -> bytes:
        recorded = datetime.strptime(stamp[0].decode(), _FORMAT).replace(tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(recorded + delta, UTC).strftime(_FORMAT).encode()

    return _STAMP.sub(moved, data)


SCENARIOS: tuple[IsolationScenario, ...] = tuple(variants(a_log_that_failed_before_arrives, CASES_BY_NAME))
