"""The counters on /metrics balance in every scrape, also while a slow or failing disk delays dead letters.

A slow disk is imitated inside the agent's process: a `sitecustomize` module on PYTHONPATH delays `fsync` of files in
the dead-letter directory. A failing disk is a regular file in place of that directory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.deadletters.commands import DIRECTORY
from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import Stage, stage

SLOW_DISK = """
import os, time

_fsync, _fdatasync = os.fsync, os.fdatasync

def _delay(descriptor):
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    if "dead" in os.readlink(f"/proc/self/fd/{number}"):
        time.sleep(0.5)

def fsync(descriptor):
    _delay(descriptor)
    _fsync(descriptor)

def fdatasync(descriptor):
    _delay(descriptor)
    _fdatasync(descriptor)

os.fsync, os.fdatasync = fsync, fdatasync
"""
ROUNDS = 12
OVERSIZED_BYTES = 1_060_000


async def the_counters_balance_in_every_scrape(place: Path, disk: str) -> Result:
    result = Result()
    place.mkdir(parents=True, exist_ok=True)
    variables = {}
    if disk == "slow":
        (place / "python").mkdir()
        (place / "python" / "sitecustomize.py").write_text(SLOW_DISK)
        variables["PYTHONPATH"] = str(place / "python")
    state = place / "state"
    state.mkdir()
    if disk == "failing":
        (state / DIRECTORY).write_bytes(b"")
    async with stage(place) as node, node.running(variables=variables):
        node.append(*alert_lines([0]))

        async def first_arrived() -> bool:
            return await node.all_arrived() >= 1

        await node.until(first_arrived)
        scrapes = Scrapes()
        scraping = asyncio.create_task(scrapes.run(node))
        for number in range(ROUNDS):
            # In each round one put is refused, and one event is too large for CloudWatch.
            kind = "invalid" if number % 2 else "rejected_index_too_large"
            await node.set_faults({"kind": kind, "operation": "PutLogEvents", "count": 1})
            node.append(*alert_lines([100 + number]))
            node.append(cri(numbered_alert(1_000 + number, filler=OVERSIZED_BYTES)), *alert_lines([500 + number]))
            await asyncio.sleep(0.4)
        await node.set_faults()
        await node.until_settled(20.0)
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
        now = await node.metrics()
        on_disk = _letters_on_disk(state)
        counted = int(now.get("dead_letters_total", 0))
        result.measured |= {
            "scrapes": scrapes.total,
            "unbalanced": scrapes.unbalanced,
            "dead_letters": counted,
            "on_disk": on_disk,
        }
        result.expect(counted > 0 or disk == "failing", "no dead letters, so the scenario proves nothing")
        result.expect(scrapes.total > 10, f"only {scrapes.total} scrapes")
        result.expect(not scrapes.unbalanced, f"{scrapes.unbalanced} of {scrapes.total} scrapes do not balance")
        result.expect(counted <= on_disk, f"{counted} dead letters are counted, {on_disk} are on the disk")
        if disk == "failing":
            _, ready = await node.agent.get("/readyz")
            result.expect("dead" in ready.lower(), f"/readyz does not name the dead letters: {ready[:200]}")
    found = await arrivals(place)
    # The put that the fault hits may carry any of the small alerts alone, which then becomes a dead letter.
    missing = len(found.missing([*range(100, 100 + ROUNDS), *range(500, 500 + ROUNDS)]))
    result.measured["missing"] = missing
    result.expect(
        missing <= now.get("records_rejected_total", 0.0), f"{missing} alerts are neither shipped nor rejected"
    )
    return result


@dataclass(slots=True)
class Scrapes:
    """Counts the scrapes of /metrics, and those in which read records are not all accounted for."""

    total: int = 0
    unbalanced: int = 0

    async def run(self, node: Stage) -> None:
        while node.is_alive:
            now = await node.metrics()
            fates = ("records_shipped_total", "records_filtered_total", "records_rejected_total", "records_in_flight")
            self.total += 1
            self.unbalanced += now["records_read_total"] != sum(now.get(fate, 0.0) for fate in fates)
            await asyncio.sleep(0.05)


def _letters_on_disk(state: Path) -> int:
    directory = state / DIRECTORY
    if not directory.is_dir():
        return 0
    return sum(path.read_bytes().count(b"\n") for path in directory.iterdir() if path.is_file())


SCENARIOS: tuple[IsolationScenario, ...] = tuple(
    # CloudWatch refuses whole puts here. A seal among them may leave a broken chain, which the audit reports.
    variants(the_counters_balance_in_every_scrape, ("healthy", "slow", "failing"), sealed=False)
)
