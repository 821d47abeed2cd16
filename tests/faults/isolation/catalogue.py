"""All isolation scenarios, in the order in which they are played."""

from tests.faults.isolation import archives, clocks, files, forgeries, lanes, lives, pods, records

SCENARIOS = (
    *records.SCENARIOS,
    *files.SCENARIOS,
    *archives.SCENARIOS,
    *clocks.SCENARIOS,
    *lanes.SCENARIOS,
    *lives.SCENARIOS,
    *pods.SCENARIOS,
    *forgeries.SCENARIOS,
)
QUICK = tuple(scenario for scenario in SCENARIOS if scenario.quick)
