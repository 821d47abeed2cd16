"""The named scenarios, and random ones."""

import random

from tests.faults.scenario import CLOUDWATCH_FAULTS, Scenario
from tests.faults.writers import DELETES, WRITERS

NAMED = (
    *[Scenario(f"steady-{writer}", f"every record of a {writer} log arrives", writer=writer) for writer in WRITERS],
    *[
        Scenario(f"kill-{writer}", f"no record of a {writer} log is lost to kills", writer=writer, kills=4, bursts=120)
        for writer in WRITERS
        if writer not in DELETES
    ],
    *[
        Scenario(f"cloudwatch-{name}", f"no record is lost to the fault {name}", cloudwatch_faults=(name,), bursts=80)
        for name in CLOUDWATCH_FAULTS
    ],
    Scenario("kill-9", "no record is lost to kills", kills=8, bursts=200),
    Scenario("sigterm-under-load", "no record is lost to a SIGTERM under load", terminations=4, bursts=150),
    Scenario(
        "sigterm-with-dead-cloudwatch",
        "no record is lost to a SIGTERM without CloudWatch",
        terminations=2,
        cloudwatch_faults=("dead",),
        settings=(("drain_seconds", "1"),),
    ),
    Scenario(
        "kill-with-cloudwatch-faults",
        "no record is lost to kills while CloudWatch fails in several ways",
        kills=5,
        bursts=150,
        cloudwatch_faults=("throttled", "reset-after", "error-503", "hang"),
    ),
    Scenario(
        "small-budget",
        "no record is lost with a small memory budget and a slow CloudWatch",
        bursts=150,
        cloudwatch_faults=("throttled", "slow"),
        settings=(("memory_budget_bytes", "2097152"),),
    ),
    Scenario(
        "everything-deleted-under-a-dead-cloudwatch",
        "files that kubelet deletes during an outage are read to their end",
        writer="kubelet-deletes",
        cloudwatch_faults=("dead",),
        bursts=150,
    ),
    Scenario(
        "pods-gone-under-a-dead-cloudwatch",
        "the logs of pods that are deleted during an outage are read to their end",
        writer="moving-pod",
        cloudwatch_faults=("dead",),
        bursts=100,
    ),
    Scenario(
        "deleted-while-it-was-down",
        "files that are deleted while no agent runs are announced as a gap",
        writer="kubelet-deletes",
        kills=5,
        bursts=200,
    ),
)
QUICK = (
    "steady-kubelet",
    "steady-docker",
    "kill-9",
    "kill-logrotate-copytruncate",
    "sigterm-with-dead-cloudwatch",
    "cloudwatch-reset-after",
    "everything-deleted-under-a-dead-cloudwatch",
)


def named(name: str) -> Scenario:
    return next(scenario for scenario in NAMED if scenario.name == name)


def random_scenario(seed: int) -> Scenario:
    """The random scenario of a seed."""
    chance = random.Random(seed)
    return Scenario(
        f"random-{seed}",
        seed=seed,
        writer=chance.choice(list(WRITERS)),
        bursts=chance.choice((60, 150, 300)),
        kills=chance.choice((0, 0, 2, 6)),
        terminations=chance.choice((0, 0, 2)),
        cloudwatch_faults=tuple(chance.sample(list(CLOUDWATCH_FAULTS), chance.choice((0, 1, 3)))),
        settings=(("memory_budget_bytes", chance.choice(("2097152", "16777216"))),),
    )
