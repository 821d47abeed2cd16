"""An outage of CloudWatch while alerts keep arriving: memory and metrics during the outage, and the time to catch up.

`python -m tests.faults.outage --seconds 600 --rate 2000` plays it in full length. It checks that memory stays bounded,
that /healthz stays 200, that /metrics shows the outage, and that every record arrives.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.node import PATIENCE_SECONDS, Node, cloudwatch, first_file_is_open
from tests.faults.proof import prove, settled
from tests.faults.scenario import Outcome, Scenario
from tests.faults.writers import numbered

TICK_SECONDS = 0.05
ROTATE_BYTES = 10 * 1024 * 1024
"""kubelet's default size for a rotation."""
FILLER_BYTES = 700
MOST_RESIDENT_BYTES = 150 * 1024 * 1024
"""An agent with a full budget of 16 MiB (the default), and memory that the allocator keeps."""


@dataclass(slots=True)
class OutageReport:
    """Observations during the outage, and the time to catch up."""

    outcome: Outcome = field(default_factory=Outcome)
    most_resident_bytes: int = 0
    backpressure_at: float | None = None
    """Seconds after the beginning of the outage."""
    lag_bytes: list[float] = field(default_factory=list)
    oldest_seconds: float = 0.0
    """The metric `oldest_unacknowledged_seconds` at the end of the outage."""
    outage_seconds: float = 0.0
    catching_up_seconds: float = 0.0

    def judge(self, seconds: float) -> None:
        """Add problems: too much memory, or metrics that do not show the outage to an operator."""
        problems = self.outcome.problems
        if self.most_resident_bytes > MOST_RESIDENT_BYTES:
            problems.append(f"peak memory of {self.most_resident_bytes} bytes")
        if self.backpressure_at is None:
            problems.append("backpressure_active was never 1")
        if self.lag_bytes != sorted(self.lag_bytes):
            problems.append("lag_bytes fell while nothing was acknowledged")
        if self.oldest_seconds < 0.8 * seconds:
            problems.append(f"oldest_unacknowledged_seconds was {self.oldest_seconds:.0f} after {seconds:.0f} s")

    def line(self) -> str:
        return (
            f"{self.outcome.line()}; outage of {self.outage_seconds:.0f} s, "
            f"backpressure after {self.backpressure_at or -1:.0f} s, highest lag {max(self.lag_bytes) / 1e6:.0f} MB, "
            f"oldest {self.oldest_seconds:.0f} s, peak memory {self.most_resident_bytes / 1e6:.0f} MB, "
            f"caught up in {self.catching_up_seconds:.1f} s"
        )


async def play(place: Path, *, seconds: float, rate: int) -> OutageReport:
    """Play an outage of `seconds` at `rate` alerts a second."""
    report = OutageReport()
    node = Node(place, Scenario("outage", seed=1), report.outcome)
    async with cloudwatch(place / "cloudwatch") as endpoint:
        node.endpoint = endpoint
        node.writer.start()
        agent = await node.start_agent()
        try:
            await first_file_is_open(node)
            await node.set_fault("dead")
            began = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_write(node, seconds, rate))
                tasks.create_task(_watch(node, report, seconds))
            await node.set_fault(None)
            ended = time.monotonic()
            report.outage_seconds = ended - began
            report.catching_up_seconds = await settled(node) - ended
            _sample_memory(node, report)
            await node.terminate()
        finally:
            if agent.process.returncode is None:
                agent.process.kill()
                await agent.process.wait()
    await prove(node)
    report.judge(seconds)
    return report


async def _write(node: Node, seconds: float, rate: int) -> None:
    writer, began, rotated_at, rotations = node.writer, time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        while writer.written < elapsed * rate:
            writer.line(numbered(writer.written, urgent=False, filler=FILLER_BYTES))
            writer.written += 1
        # kubelet compresses a file at the next rotation, which takes bytes from a file that the agent has not opened.
        if writer.written_bytes - rotated_at > ROTATE_BYTES and (await node.metrics())["files_open"] > rotations:
            rotated_at = writer.written_bytes
            rotations += 1
            writer.rotate()
        await asyncio.sleep(TICK_SECONDS)


async def _watch(node: Node, report: OutageReport, seconds: float) -> None:
    """Scrape metrics, health and memory once a second, and a last time after `seconds`.

    An agent on a slow machine reads until it has filled its budget; the outage lasts until then.
    """
    assert node.agent is not None
    began = time.monotonic()
    elapsed = 0.0
    while elapsed < seconds or (report.backpressure_at is None and elapsed < seconds + PATIENCE_SECONDS):
        elapsed = time.monotonic() - began
        _sample_memory(node, report)
        metrics = await node.metrics()
        report.lag_bytes.append(metrics["lag_bytes"])
        report.oldest_seconds = metrics["oldest_unacknowledged_seconds"]
        if metrics["backpressure_active"] and report.backpressure_at is None:
            report.backpressure_at = elapsed
        status, text = await node.agent.get("/healthz")
        if status != 200:
            report.outcome.problems.append(f"/healthz answered {status} after {elapsed:.0f} s: {text[:200]}")
        await asyncio.sleep(1.0)


def _sample_memory(node: Node, report: OutageReport) -> None:
    assert node.agent is not None
    pages = int(Path(f"/proc/{node.agent.process.pid}/statm").read_text().split()[1])
    report.most_resident_bytes = max(report.most_resident_bytes, pages * resource.getpagesize())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=2000, help="alerts a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="falcowatch-outage-") as place:
        report = asyncio.run(play(Path(place), seconds=given.seconds, rate=given.rate))
    sys.stdout.write("".join(f"{line}\n" for line in (report.line(), *report.outcome.problems)))
    return 1 if report.outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
