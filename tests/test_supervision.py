"""A part that fails does not end the agent: alerts go on arriving, and the failure shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from agent.app import Agent, run_agent
from agent.core.backoff import Backoff
from agent.errors import LockLost, StateLocked
from agent.flow import supervise
from agent.local.emulator import EmbeddedCloudWatch
from agent.settings import load_settings
from tests.process.driver import alert, append, container, cri, environment
from tests.selfmonitor.whole_agent import aws_environment, built, until


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)
    monkeypatch.setattr(supervise.supervise, "__kwdefaults__", {**QUICK, "chance": lambda: 1.0})


QUICK = {"backoff": Backoff(0.01, 0.05)}


class Failing:
    """Work that raises: after the given number of event loop iterations, the given number of times."""

    def __init__(self, *, times: int, iterations: int = 0) -> None:
        self.started = 0
        self._times = times
        self._iterations = iterations

    async def run(self) -> None:
        self.started += 1
        for _ in range(self._iterations):
            await asyncio.sleep(0)
        if self.started <= self._times:
            raise ValueError("broken")
        await asyncio.Event().wait()


@asynccontextmanager
async def started(agent: Agent) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def replace_part(agent: Agent, name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Makes the named task of the agent run something else."""
    supervised = agent._supervised()
    assert name in [task for task, _, _ in supervised]
    replaced = [(task, part, run if task == name else work) for task, part, work in supervised]
    agent._supervised = lambda: replaced  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["enricher", "status", "duplicates", "falco", "drift", "heartbeat"])
@pytest.mark.parametrize(
    "failing",
    [
        pytest.param({"times": 1}, id="at its start"),
        pytest.param({"times": 3, "iterations": 50}, id="in the middle"),
        pytest.param({"times": 10**6, "iterations": 1}, id="always"),
    ],
)
async def test_whatever_part_fails_alerts_arrive_and_the_agent_ends_cleanly(
    tmp_path: Path, name: str, failing: dict[str, int]
) -> None:
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(20)))
    part = Failing(**failing)
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url) as agent,
    ):
        replace_part(agent, name, part.run)
        async with started(agent):
            await until(lambda: part.started > min(failing["times"], 5))
            append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(20, 40)))
            await until(lambda: cloudwatch.count("/falco/here", "node-a") == 40)

        of_part = "enrichment" if name == "enricher" else "selfmonitor"
        assert agent.parts.telemetry.value("defects_total", part=of_part) >= min(failing["times"], 5)


@pytest.mark.parametrize("part", ["reader", "shipper"])
async def test_a_defect_of_reading_or_shipping_ends_the_agent_and_the_next_start_ships_everything(
    tmp_path: Path, part: str
) -> None:
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(20)))
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        async with built(tmp_path, cloudwatch.url) as agent:
            getattr(agent.parts, part).run = Failing(times=1, iterations=5).run
            with pytest.raises(ExceptionGroup):
                await agent.run(asyncio.Event())

        async with built(tmp_path, cloudwatch.url) as agent, started(agent):
            await until(lambda: cloudwatch.count("/falco/here", "node-a") >= 20)
        outputs = [orjson.loads(event.message)["output"] for event in cloudwatch.events("/falco/here", "node-a")]

    assert sorted(map(int, outputs)) == [*range(20)]


@pytest.mark.parametrize(
    ("error", "shown"),
    [(StateLocked("taken"), StateLocked), (LockLost("made again"), LockLost), (ValueError("x"), ExceptionGroup)],
)
async def test_a_foreseen_error_ends_the_agent_with_its_sentence_and_a_defect_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, shown: type[Exception]
) -> None:
    def save(*_: object) -> bool:
        raise error

    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr("agent.tail.checkpoint.Checkpoint.save", save)
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        settings = load_settings(environment(tmp_path, cloudwatch.url)).settings
        with pytest.raises(shown):
            await run_agent(settings, asyncio.Event())
