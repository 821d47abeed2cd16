"""`python -m tests.faults`: plays scenarios and prints the result of each. Exit code 1: a scenario failed."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from tests.faults.play import play
from tests.faults.scenario import Outcome, Scenario
from tests.faults.scenarios import NAMED, named, random_scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="play random scenarios for this long")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first random scenario; the next ones count up")
    parser.add_argument("--only", metavar="NAME", help="play one scenario; random-N is the random scenario of seed N")
    parser.add_argument("--all", action="store_true", help="play every named scenario once")
    parser.add_argument("--kills", type=int, help="number of kills, instead of the scenario's own")
    parser.add_argument("--bursts", type=int, help="number of bursts to write, instead of the scenario's own")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of each scenario in this directory")
    parser.add_argument("--list", action="store_true", help="list the named scenarios")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM also stops the child processes
    if given.list:
        _print(*(f"{scenario.name:44} {scenario.claim}" for scenario in NAMED))
        return 0
    if given.only:
        chosen = random_scenario(int(given.only[7:])) if given.only.startswith("random-") else named(given.only)
        scenarios = iter([replace(chosen, seed=chosen.seed or given.seed)])
    elif given.all:
        scenarios = iter(NAMED)
    else:
        scenarios = (random_scenario(seed) for seed in count(given.seed))
    until = time.monotonic() + given.seconds
    total, failed = Outcome(), 0
    for scenario in scenarios:
        kills = scenario.kills if given.kills is None else given.kills
        scenario = replace(scenario, kills=kills, bursts=given.bursts or scenario.bursts)
        outcome = _play(scenario, given.keep)
        _add(total, outcome)
        failed += bool(outcome.problems)
        verdict = "FAILED" if outcome.problems else "ok"
        _print(f"{verdict:6} {scenario.name:44} {outcome.line()}", *(f"       {text}" for text in outcome.problems[:5]))
        if time.monotonic() > until and not (given.all or given.only):
            break
    _print(f"total  {failed} failed; {total.line()}")
    return 1 if failed else 0


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _play(scenario: Scenario, keep: Path | None) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="falcowatch-faults-") as temporary:
        place = Path(temporary) if keep is None else keep / scenario.name
        place.mkdir(parents=True, exist_ok=True)
        return asyncio.run(play(scenario, place))


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
