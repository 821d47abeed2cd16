"""Some scenarios of the fault kit, small: `make faults` plays them all, and more, for longer."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import fuzz
from tests.faults.outage import play
from tests.faults.scenario import Scenario, run
from tests.faults.scenarios import QUICK, drawn, named


async def test_nothing_is_lost_without_a_word(tmp_path: Path) -> None:
    """Side by side, since each of them waits most of its time."""
    async with asyncio.TaskGroup() as plays:
        playing = {name: plays.create_task(run(_small(named(name)), tmp_path / name)) for name in QUICK}
    outcomes = {name: task.result() for name, task in playing.items()}

    assert {name: outcome.problems for name, outcome in outcomes.items() if outcome.problems} == {}
    assert all(outcome.written > 100 for outcome in outcomes.values())


async def test_an_outage_is_told_on_metrics_and_bounded_in_memory(tmp_path: Path) -> None:
    story = await play(tmp_path, seconds=6, rate=6000)

    assert story.outcome.problems == []
    assert story.outcome.written > 20_000


@pytest.mark.parametrize("seed", range(3))
def test_hostile_lines_neither_crash_nor_unbalance_anything(seed: int) -> None:
    assert fuzz.run(500, seed).records > 500


def test_a_seed_always_draws_the_same_scenario() -> None:
    assert [drawn(seed) for seed in range(20)] == [drawn(seed) for seed in range(20)]


def _small(scenario: Scenario) -> Scenario:
    return replace(scenario, bursts=min(40, scenario.bursts), kills=min(2, scenario.kills))
