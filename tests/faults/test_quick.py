"""Some scenarios of the fault kit, small: `make faults` plays them all, and more, for longer."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import fuzz
from tests.faults.scenario import run
from tests.faults.scenarios import QUICK, drawn, named


@pytest.mark.parametrize("name", QUICK)
async def test_nothing_is_lost_without_a_word(name: str, tmp_path: Path) -> None:
    scenario = named(name)
    quick = replace(scenario, bursts=min(40, scenario.bursts), kills=min(2, scenario.kills))

    outcome = await run(quick, tmp_path)

    assert not outcome.problems, outcome.line()
    assert outcome.written > 100


@pytest.mark.parametrize("seed", range(3))
def test_hostile_lines_neither_crash_nor_unbalance_anything(seed: int) -> None:
    assert fuzz.run(500, seed).records > 500


def test_a_seed_always_draws_the_same_scenario() -> None:
    assert [drawn(seed) for seed in range(20)] == [drawn(seed) for seed in range(20)]
