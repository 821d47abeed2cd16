"""Small versions of some scenarios. `make faults` plays all of them, and random ones, for longer."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import fuzz, outage
from tests.faults.play import play
from tests.faults.scenario import Scenario
from tests.faults.scenarios import QUICK, named, random_scenario


async def test_no_record_is_lost_without_a_gap_event(tmp_path: Path) -> None:
    """The scenarios run at the same time, because each of them mostly waits."""
    async with asyncio.TaskGroup() as tasks:
        playing = {name: tasks.create_task(play(_small(named(name)), tmp_path / name)) for name in QUICK}
    outcomes = {name: task.result() for name, task in playing.items()}

    assert {name: outcome.problems for name, outcome in outcomes.items() if outcome.problems} == {}
    assert all(outcome.written > 100 for outcome in outcomes.values())


async def test_an_outage_shows_on_metrics_and_memory_stays_bounded(tmp_path: Path) -> None:
    report = await outage.play(tmp_path, seconds=6, rate=6000)

    assert report.outcome.problems == []
    assert report.outcome.written > 20_000


@pytest.mark.parametrize("seed", range(3))
def test_hostile_lines_neither_crash_nor_unbalance_anything(seed: int) -> None:
    assert fuzz.run(500, seed).records > 500


def test_the_same_seed_always_draws_the_same_scenario() -> None:
    assert [random_scenario(seed) for seed in range(20)] == [random_scenario(seed) for seed in range(20)]


def _small(scenario: Scenario) -> Scenario:
    return replace(scenario, bursts=min(40, scenario.bursts), kills=min(2, scenario.kills))
