"""The scenarios that have a name, and how more are drawn by chance."""

import random

from tests.faults.scenario import WEATHER, Scenario
from tests.faults.writers import DELETES, WRITERS

NAMED = (
    *[Scenario(f"steady-{writer}", writer=writer) for writer in WRITERS],
    *[Scenario(f"kill-{writer}", writer=writer, kills=4, bursts=120) for writer in WRITERS if writer not in DELETES],
    *[Scenario(f"weather-{name}", weather=(name,), bursts=80) for name in WEATHER],
    Scenario("kill-9", kills=8, bursts=200),
    Scenario("sigterm-under-load", terminations=4, bursts=150),
    Scenario("sigterm-with-dead-cloudwatch", terminations=2, weather=("dead",), settings=(("drain_seconds", "1"),)),
    Scenario("kill-in-bad-weather", kills=5, bursts=150, weather=("throttled", "reset-after", "error-503", "hang")),
    Scenario("small-budget", bursts=150, weather=("throttled", "slow"), settings=(("memory_budget_bytes", "2097152"),)),
    Scenario("everything-deleted-under-a-dead-cloudwatch", writer="kubelet-deletes", weather=("dead",), bursts=150),
    Scenario("pods-gone-under-a-dead-cloudwatch", writer="moving-pod", weather=("dead",), bursts=100),
    Scenario("deleted-while-it-was-down", writer="kubelet-deletes", kills=5, bursts=200),
)
QUICK = (
    "steady-kubelet",
    "steady-docker",
    "kill-9",
    "kill-logrotate-copytruncate",
    "sigterm-with-dead-cloudwatch",
    "weather-reset-after",
    "everything-deleted-under-a-dead-cloudwatch",
)


def named(name: str) -> Scenario:
    return next(scenario for scenario in NAMED if scenario.name == name)


def drawn(seed: int) -> Scenario:
    """A scenario by chance: the same seed draws the same one."""
    chance = random.Random(seed)
    return Scenario(
        f"drawn-{seed}",
        seed,
        writer=chance.choice(list(WRITERS)),
        bursts=chance.choice((60, 150, 300)),
        kills=chance.choice((0, 0, 2, 6)),
        terminations=chance.choice((0, 0, 2)),
        weather=tuple(chance.sample(list(WEATHER), chance.choice((0, 1, 3)))),
        settings=(("memory_budget_bytes", chance.choice(("2097152", "16777216"))),),
    )
