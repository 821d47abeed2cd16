"""CloudWatch is away while alerts keep coming; what the agent holds and says meanwhile, and how it catches up.

`python -m tests.faults.outage --seconds 600 --rate 2000` plays it whole. It holds that memory stays within what the
budget bounds, that /healthz does not ask for a restart, that /metrics tells the story, and that every record arrives.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.scenario import Outcome, Scenario, World, cloudwatch, found, prove, settled
from tests.faults.writers import numbered

TICK_SECONDS = 0.05
ROTATE_BYTES = 10 * 1024 * 1024
"""kubelet's default."""
FILLER_BYTES = 700
MOST_RESIDENT_BYTES = 150 * 1024 * 1024
"""A warm agent with its default budget of 16 MiB full, and room for what the allocator keeps."""


@dataclass(slots=True)
class Story:
    """What was seen from outside while CloudWatch was away, and how long catching up took."""

    outcome: Outcome = field(default_factory=Outcome)
    most_resident_bytes: int = 0
    backpressure_at: float | None = None
    """Seconds into the outage."""
    lag_bytes: list[float] = field(default_factory=list)
    oldest_seconds: float = 0.0
    """`oldest_unacknowledged_seconds` at the end of the outage."""
    outage_seconds: float = 0.0
    catching_up_seconds: float = 0.0

    def judge(self, seconds: float) -> None:
        """Adds to the problems what an operator would not have been told, or a node not been spared."""
        problems = self.outcome.problems
        if self.most_resident_bytes > MOST_RESIDENT_BYTES:
            problems.append(f"resident {self.most_resident_bytes} bytes")
        if self.backpressure_at is None:
            problems.append("backpressure_active never told that reading waits")
        if self.lag_bytes != sorted(self.lag_bytes):
            problems.append("lag_bytes fell while nothing was acknowledged")
        if self.oldest_seconds < 0.8 * seconds:
            problems.append(f"oldest_unacknowledged_seconds said {self.oldest_seconds:.0f} after {seconds:.0f} s")

    def line(self) -> str:
        return (
            f"{self.outcome.line()}; away {self.outage_seconds:.0f} s, "
            f"backpressure after {self.backpressure_at or -1:.0f} s, lag at most {max(self.lag_bytes) / 1e6:.0f} MB, "
            f"oldest {self.oldest_seconds:.0f} s, resident at most {self.most_resident_bytes / 1e6:.0f} MB, "
            f"caught up in {self.catching_up_seconds:.1f} s"
        )


async def play(place: Path, *, seconds: float, rate: int) -> Story:
    """An outage of so many seconds at `rate` alerts a second. What is wrong stands in the outcome's problems."""
    story = Story()
    world = World(place, Scenario("outage", seed=1), story.outcome)
    async with cloudwatch(place / "cloudwatch") as endpoint:
        world.endpoint = endpoint
        world.writer.start()
        agent = await world.start_agent()
        try:
            await found(world)
            await world.set_weather("dead")
            began = time.monotonic()
            async with asyncio.TaskGroup() as acts:
                acts.create_task(_write(world, seconds, rate))
                acts.create_task(_watch(world, story, seconds))
            await world.set_weather(None)
            ended = time.monotonic()
            story.outage_seconds = ended - began
            story.catching_up_seconds = await settled(world) - ended
            _look_at_memory(world, story)
            await world.terminate()
        finally:
            if agent.process.returncode is None:
                agent.process.kill()
                await agent.process.wait()
    await prove(world)
    story.judge(seconds)
    return story


async def _write(world: World, seconds: float, rate: int) -> None:
    writer, began, rotated_at = world.writer, time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < seconds:
        while writer.written < elapsed * rate:
            writer.line(numbered(writer.written, urgent=False, filler=FILLER_BYTES))
            writer.written += 1
        if writer.written_bytes - rotated_at > ROTATE_BYTES:
            rotated_at = writer.written_bytes
            writer.rotate()
        await asyncio.sleep(TICK_SECONDS)


async def _watch(world: World, story: Story, seconds: float) -> None:
    """Once a second, as Prometheus and kubelet would, only sooner."""
    assert world.agent is not None
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        _look_at_memory(world, story)
        told = await world.metrics()
        story.lag_bytes.append(told["lag_bytes"])
        story.oldest_seconds = told["oldest_unacknowledged_seconds"]
        if told["backpressure_active"] and story.backpressure_at is None:
            story.backpressure_at = elapsed
        status, text = await world.agent.get("/healthz")
        if status != 200:
            story.outcome.problems.append(f"healthz said {status} after {elapsed:.0f} s: {text[:200]}")
        await asyncio.sleep(1.0)


def _look_at_memory(world: World, story: Story) -> None:
    assert world.agent is not None
    pages = int(Path(f"/proc/{world.agent.process.pid}/statm").read_text().split()[1])
    story.most_resident_bytes = max(story.most_resident_bytes, pages * resource.getpagesize())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=2000, help="alerts a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="falcowatch-outage-") as place:
        story = asyncio.run(play(Path(place), seconds=given.seconds, rate=given.rate))
    sys.stdout.write("".join(f"{line}\n" for line in (story.line(), *story.outcome.problems)))
    return 1 if story.outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
