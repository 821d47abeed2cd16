"""The quick isolation scenarios, side by side. `make faults` plays all of them, one after another.

Only the order of events is checked here. Latencies are checked by `make faults`, because this machine may be busy.
"""

import asyncio
from pathlib import Path

from tests.faults.isolation.catalogue import QUICK, SCENARIOS


async def test_one_fault_does_not_harm_the_rest(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        playing = {
            scenario.name: tasks.create_task(scenario.play(tmp_path / str(number)))
            for number, scenario in enumerate(QUICK)
        }

    problems = {name: task.result().problems for name, task in playing.items() if task.result().problems}
    assert problems == {}


def test_every_scenario_has_a_name_of_its_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]

    assert len(names) == len(set(names))
