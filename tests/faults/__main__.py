"""`python -m tests.faults`: plays scenarios and prints what came of each. Exit code 1: one did not prove itself."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from tests.faults.scenario import Outcome, Scenario, run
from tests.faults.scenarios import NAMED, drawn, named


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long to draw scenarios by chance")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the next ones follow")
    parser.add_argument("--only", metavar="NAME", help="one scenario, by name (drawn-N: the one of seed N)")
    parser.add_argument("--all", action="store_true", help="every scenario that has a name, once")
    parser.add_argument("--kills", type=int, help="kill the process so often instead")
    parser.add_argument("--bursts", type=int, help="write so many bursts instead")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the files of each scenario there")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    if given.list:
        _say(*(scenario.name for scenario in NAMED))
        return 0
    if given.only:
        chosen = drawn(int(given.only[6:])) if given.only.startswith("drawn-") else named(given.only)
        scenarios = iter([replace(chosen, seed=chosen.seed or given.seed)])
    elif given.all:
        scenarios = iter(NAMED)
    else:
        scenarios = (drawn(seed) for seed in count(given.seed))
    until = time.monotonic() + given.seconds
    total, failed = Outcome(), 0
    for scenario in scenarios:
        kills = scenario.kills if given.kills is None else given.kills
        scenario = replace(scenario, kills=kills, bursts=given.bursts or scenario.bursts)
        outcome = _play(scenario, given.keep)
        _add(total, outcome)
        failed += bool(outcome.problems)
        verdict = "FAILED" if outcome.problems else "ok"
        _say(f"{verdict:6} {scenario.name:44} {outcome.line()}", *(f"       {text}" for text in outcome.problems[:5]))
        if time.monotonic() > until and not (given.all or given.only):
            break
    _say(f"total  {failed} failed; {total.line()}")
    return 1 if failed else 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _play(scenario: Scenario, keep: Path | None) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="falcowatch-faults-") as temporary:
        place = Path(temporary) if keep is None else keep / scenario.name
        place.mkdir(parents=True, exist_ok=True)
        return asyncio.run(run(scenario, place))


def _add(total: Outcome, one: Outcome) -> None:
    total.written += one.written
    total.lost += one.lost
    total.duplicated += one.duplicated
    total.duplicated_bytes += one.duplicated_bytes
    total.in_flight_bytes += one.in_flight_bytes
    total.gaps += one.gaps
    total.gap_bytes += one.gap_bytes
    total.kills += one.kills
    total.terminations += one.terminations


if __name__ == "__main__":
    sys.exit(main())
