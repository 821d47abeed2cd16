"""`python -m tests.faults.isolation`: plays isolation scenarios and prints each result. Exit code 1: a claim failed."""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.isolation.catalogue import SCENARIOS
from tests.faults.isolation.result import IsolationScenario, Result

MAX_SECONDS = 240.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.isolation", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="play the scenarios whose name contains this text")
    parser.add_argument("--quick", action="store_true", help="play the scenarios that `make test` plays")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of each scenario in this directory")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM also stops the child processes
    chosen = [
        scenario
        for scenario in SCENARIOS
        if (given.only or "") in scenario.name and (scenario.quick or not given.quick)
    ]
    if given.list:
        _print(*(f"{'quick' if scenario.quick else '':6} {scenario.name}" for scenario in chosen))
        return 0
    # The fake API server logs every connection that a killed agent resets.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    failed = 0
    for scenario in chosen:
        began = time.monotonic()
        result = _play(scenario, given.keep)
        problems = [*result.problems, *result.too_slow]
        failed += bool(problems)
        verdict = "FAILED" if problems else "ok"
        _print(
            f"{verdict:6} {scenario.name}   [{time.monotonic() - began:.0f} s]  {result.line()}",
            *(f"       {problem}" for problem in problems),
        )
    _print(f"total  {failed} of {len(chosen)} failed")
    return 1 if failed else 0


def _play(scenario: IsolationScenario, keep: Path | None) -> Result:
    with tempfile.TemporaryDirectory(prefix="falcowatch-isolation-") as temporary:
        place = Path(temporary) if keep is None else keep / scenario.name.replace(" ", "-")
        try:
            return asyncio.run(asyncio.wait_for(scenario.play(place), MAX_SECONDS))
        except Exception as error:  # noqa: BLE001  # a scenario that breaks is a failed scenario, and the next one is played
            reason = traceback.format_exception_only(error)[-1].strip()
            return Result([f"the scenario raised {reason[:1500]}"])


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
