"""The quick isolation scenarios, some at the same time. `make faults` plays all of them, one after another.

Only the order of events is checked here. Latencies are checked by `make faults`, because this machine may be busy.
"""

import asyncio
from pathlib import Path

from tests.faults.isolation.catalogue import QUICK, SCENARIOS
from tests.faults.isolation.result import IsolationScenario, Result

AT_ONCE = 3
"""Scenarios that run at the same time. Each of them mostly waits, but starts two processes."""


async def test_one_fault_does_not_harm_the_rest(tmp_path: Path) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def play(scenario: IsolationScenario, place: Path) -> Result:
        async with turns:
            return await scenario.play(place)

    async with asyncio.TaskGroup() as tasks:
        playing = {
            scenario.name: tasks.create_task(play(scenario, tmp_path / str(number)))
            for number, scenario in enumerate(QUICK)
        }

    problems = {name: task.result().problems for name, task in playing.items() if task.result().problems}
    assert problems == {}


def test_every_scenario_has_a_name_of_its_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]

    assert len(names) == len(set(names))
