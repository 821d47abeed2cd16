"""Files change under the reader: a gap event must follow when, and only when, bytes are lost.

Each scenario proves one direction: all alerts arrive and there is no gap event, or alerts are lost and a gap says so.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import Stage, stage

BROKEN_DISK = """
import errno, os

_pread, _preadv = os.pread, os.preadv

def _check(descriptor):
    if os.path.exists(os.environ["DISK_IS_BROKEN"]) and "broken" in os.readlink(f"/proc/self/fd/{descriptor}"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

def pread(descriptor, *arguments):
    _check(descriptor)
    return _pread(descriptor, *arguments)

def preadv(descriptor, *arguments):
    _check(descriptor)
    return _preadv(descriptor, *arguments)

os.pread, os.preadv = pread, preadv
"""
LATE_SECONDS = 8.0
"""Longer than the 5 s for which the agent used to hold a rotated file after its last write."""


async def late_writes_to_a_rotated_file_arrive(place: Path) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        node.append(*alert_lines(range(10)))
        await _arrived(node, 10)
        rotated = node.rotate("20261128-000001")
        node.append(*alert_lines(range(10, 20)))
        await _arrived(node, 20)
        await asyncio.sleep(LATE_SECONDS)
        node.append(*alert_lines(range(20, 30), priority="Critical"), path=rotated)
        await _arrived(node, 30, 8.0)
        await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, range(30))
    found.expect_no_gap(result)
    return result


async def a_live_log_removed_under_its_writer_is_read_to_its_end(place: Path) -> Result:
    """Falco keeps its descriptor and writes on, a little at a time, for longer than any short timeout."""
    result = Result()
    async with stage(place) as node, node.running():
        with node.live.open("ab", buffering=0) as log:
            log.write(b"".join(alert_lines(range(5))))
            await _arrived(node, 5)
            node.live.unlink()
            for number in range(5, 25):
                await asyncio.sleep(0.7)
                log.write(b"".join(alert_lines([number], priority="Critical")))
            await _arrived(node, 25, 8.0)
        await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, range(25))
    found.expect_no_gap(result)
    return result


async def a_log_removed_after_its_writer_has_closed_it_loses_nothing(place: Path) -> Result:
    result = Result()
    async with stage(place) as node, node.running():
        node.append(*alert_lines(range(5)))
        await _arrived(node, 5)
        await node.set_faults({"kind": "reset"})
        node.append(*alert_lines(range(5, 500)))
        await asyncio.sleep(2.0)
        node.live.unlink()
        await asyncio.sleep(1.0)
        await node.set_faults()
        await _arrived(node, 500, 20.0)
    found = await arrivals(place)
    found.expect_all(result, range(500))
    found.expect_no_gap(result)
    return result


async def a_file_truncated_and_rewritten_larger_causes_no_false_gap(place: Path) -> Result:
    """Everything was delivered before the truncation, so no bytes are lost, whatever the size of the new content."""
    result = Result()
    async with stage(place) as node, node.running():
        for life in range(6):
            first = life * 1_000
            count = 20 * (life + 1)
            os.truncate(node.live, 0) if life else None
            node.append(*alert_lines(range(first, first + count)))
            await _arrived(node, sum(20 * (each + 1) for each in range(life + 1)), 10.0)
        await node.agent.terminate()
    found = await arrivals(place)
    found.expect_all(result, [life * 1_000 + number for life in range(6) for number in range(20 * (life + 1))])
    found.expect_no_gap(result)
    return result


async def a_truncation_that_loses_unread_bytes_is_announced_as_a_gap(place: Path) -> Result:
    result = Result()
    async with stage(place) as node:
        async with node.running():
            node.append(*alert_lines(range(10)))
            await _arrived(node, 10)
            # The budget of 2 MiB is full, so most of the file is unread when it is truncated.
            await node.agent.terminate()
        async with node.running(memory_budget_bytes=str(2 * 1024 * 1024)):
            await node.set_faults({"kind": "reset"})
            node.append(*alert_lines(range(10, 8_010), filler=700))
            await asyncio.sleep(3.0)
            os.truncate(node.live, 0)
            node.append(*alert_lines(range(9_000, 9_010)))
            await asyncio.sleep(3.0)
            await node.set_faults()
            await node.until_settled()
    found = await arrivals(place)
    found.expect_all(result, [*range(10), *range(9_000, 9_010)])
    result.measured["missing"] = len(found.missing(range(10, 8_010)))
    result.expect(bool(result.measured["missing"]), "the scenario lost nothing, so it proves nothing")
    found.expect_gap(result)
    return result


async def many_kills_without_loss_cause_no_gap(place: Path) -> Result:
    result = Result()
    chance = random.Random(1)
    written = rotations = 0
    async with stage(place) as node:
        for _ in range(12):
            async with node.running():
                await node.agent.url()
                for _ in range(chance.randrange(2, 8)):
                    node.append(*alert_lines(range(written, written + 50), filler=chance.choice((20, 4_000))))
                    written += 50
                    await asyncio.sleep(chance.uniform(0.05, 0.4))
                    if chance.random() < 0.3:
                        rotations += 1
                        node.rotate(f"20261128-{rotations:06d}")
        async with node.running():
            result.expect(await node.until_settled(), "not settled")
    found = await arrivals(place)
    found.expect_all(result, range(written))
    found.expect_no_gap(result)
    return result


async def a_gap_is_announced_once_with_one_id_in_spite_of_early_kills(place: Path) -> Result:
    result = Result()
    async with stage(place) as node:
        async with node.running():
            node.append(*alert_lines(range(20)))
            await _arrived(node, 20)
            await node.set_faults({"kind": "reset"})
            node.append(*alert_lines(range(20, 60)))
            await asyncio.sleep(2.0)
        node.live.unlink()
        node.append(*alert_lines(range(100, 120)))
        for _ in range(4):
            async with node.running():
                await asyncio.sleep(1.2)
        await node.set_faults()
        async with node.running():
            await _arrived(node, 40, 10.0)
            await node.until_settled()
            await node.agent.terminate()
    found = await arrivals(place)
    found.expect_gap(result)
    result.expect(len(found.gaps) <= 1, f"one loss, and {len(found.gaps)} gap events with different ids")
    found.expect_all(result, range(100, 120))
    return result


async def more_logs_than_descriptors_are_all_read(place: Path, limit: str) -> Result:
    """With a low soft limit the agent raises it; with a low hard limit the logs are read in turn."""
    result = Result()
    async with stage(place) as node:
        for number in range(200):
            directory = place / "pods" / f"falco_falco-{number:05d}_0f8fad5b-d9cb-469f-a165-{number:012d}" / "falco"
            directory.mkdir(parents=True)
            node.append(*alert_lines([number]), path=directory / "0.log")
        async with node.running(descriptors=(96, 4096) if limit == "soft" else (96, 96)):

            async def all_arrived() -> bool:
                return await node.arrived("node-a") >= 200

            complete = await node.until(all_arrived, 30.0)
            status, body = await node.agent.get("/readyz")
            result.measured |= {"arrived": await node.arrived("node-a"), "readyz": status}
            result.expect(status == 200, f"/readyz says: {body[:200]}")
            result.expect(node.is_alive, "the agent ended")
            result.expect(complete, f"{result.measured['arrived']} of 200 logs were read")
    return result


async def a_name_that_is_not_utf_8_does_not_stop_the_other_files(place: Path) -> Result:
    result = Result()
    logs = place / "logs"
    logs.mkdir(parents=True)
    directory = logs / os.fsdecode(b"dir-\xff")
    directory.mkdir()
    for path, number in (
        (logs / os.fsdecode(b"falco-\xff\xfe.log"), 1),
        (directory / "falco.log", 2),
        (logs / "falco.log", 3),
    ):
        path.write_bytes(numbered_alert(number) + b"\n")
    async with stage(place) as node:
        patterns = f'["{logs}/*.log", "{logs}/*/*.log"]'
        async with node.running(tail__root="", tail__paths=patterns):

            async def plain_name_arrived() -> bool:
                return await node.all_arrived() >= 3

            await node.until(plain_name_arrived, 10.0)
            result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-300:]}")
            result.measured["arrived"] = await node.all_arrived()
    found = await arrivals(place)
    found.expect_all(result, [3])
    return result


async def zero_bytes_before_a_record_cause_no_gap(place: Path) -> Result:
    """A power cut or a truncation under a writer without O_APPEND leaves a hole of NUL bytes."""
    result = Result()
    async with stage(place) as node, node.running():
        node.append(*alert_lines(range(3)))
        await _arrived(node, 3)
        node.append(b"\0" * 3_000_000, cri(numbered_alert(3, priority="Critical")), *alert_lines(range(4, 7)))
        await _arrived(node, 7, 10.0)
    found = await arrivals(place)
    found.expect_all(result, range(7))
    found.expect_no_gap(result)
    result.expect(found.streams.get(3) == "node-a/urgent", f"the Critical went to {found.streams.get(3)}")
    return result


async def an_input_output_error_of_one_file_does_not_stop_the_others(place: Path) -> Result:
    """A damaged disk is imitated in the agent's process: reading a file with `broken` in its path raises EIO.

    The error begins while the file is open, and a second broken file appears only later.
    """
    result = Result()
    (place / "python").mkdir(parents=True)
    (place / "python" / "sitecustomize.py").write_text(BROKEN_DISK)
    broken = place / "pods" / "falco_falco-broken_0f8fad5b-d9cb-469f-a165-000000000001" / "falco" / "0.log"
    async with stage(place) as node:
        broken.parent.mkdir(parents=True)
        node.append(*alert_lines([500]), path=broken)
        switch = place / "disk-is-broken"
        variables = {"PYTHONPATH": str(place / "python"), "DISK_IS_BROKEN": str(switch)}
        async with node.running(variables=variables):
            node.append(*alert_lines(range(10)))
            await _arrived(node, 11, 10.0)
            switch.touch()
            second = Path(str(broken).replace("0001", "0002"))
            second.parent.mkdir(parents=True)
            node.append(*alert_lines([501]), path=broken)
            node.append(*alert_lines([502]), path=second)
            node.append(*alert_lines(range(10, 20)))
            await _arrived(node, 21, 10.0)
            result.expect(node.is_alive, f"the agent ended: {node.agent.log_path.read_text()[-300:]}")
    found = await arrivals(place)
    found.expect_all(result, range(20))
    result.expect(
        not found.missing([500]) and len(found.missing([501, 502])) == 2, "the disk was not broken as planned"
    )
    return result


async def _arrived(node: Stage, count: int, seconds: float = 20.0) -> bool:
    async def reached() -> bool:
        return await node.all_arrived() >= count

    return await node.until(reached, seconds)


SCENARIOS = (
    IsolationScenario(late_writes_to_a_rotated_file_arrive),
    IsolationScenario(a_live_log_removed_under_its_writer_is_read_to_its_end),
    IsolationScenario(a_log_removed_after_its_writer_has_closed_it_loses_nothing, quick=True),
    IsolationScenario(a_file_truncated_and_rewritten_larger_causes_no_false_gap),
    IsolationScenario(a_truncation_that_loses_unread_bytes_is_announced_as_a_gap, quick=True),
    IsolationScenario(many_kills_without_loss_cause_no_gap),
    IsolationScenario(a_gap_is_announced_once_with_one_id_in_spite_of_early_kills),
    *variants(more_logs_than_descriptors_are_all_read, ("soft", "hard")),
    IsolationScenario(a_name_that_is_not_utf_8_does_not_stop_the_other_files),
    IsolationScenario(zero_bytes_before_a_record_cause_no_gap),
    IsolationScenario(an_input_output_error_of_one_file_does_not_stop_the_others),
)
