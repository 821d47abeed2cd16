"""All isolation scenarios, in the order in which they are played."""

from tests.faults.isolation import (
    answers,
    archives,
    captured,
    clocks,
    counters,
    files,
    forgeries,
    lanes,
    lives,
    memory,
    pods,
    records,
    retries,
    states,
)

SCENARIOS = (
    *captured.SCENARIOS,
    *records.SCENARIOS,
    *files.SCENARIOS,
    *archives.SCENARIOS,
    *clocks.SCENARIOS,
    *lanes.SCENARIOS,
    *retries.SCENARIOS,
    *lives.SCENARIOS,
    *states.SCENARIOS,
    *pods.SCENARIOS,
    *forgeries.SCENARIOS,
    *counters.SCENARIOS,
    *answers.SCENARIOS,
    *memory.SCENARIOS,
)
QUICK = tuple(scenario for scenario in SCENARIOS if scenario.quick)
