"""What is lost is counted by the times of the alerts, and older runs with other peers are kept."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from benchmarks.losses import Compared, compare
from benchmarks.results import keep_peers


def test_alerts_that_are_missing_and_alerts_that_came_twice_are_counted():
    written = range(1_000, 6_000, 1_000)

    assert compare(written, [1_000, 2_000, 2_000, 5_000]) == Compared(written=5, lost=2, twice=1)


def test_events_of_the_log_shipper_itself_count_as_nothing():
    assert compare(range(1_000, 3_000, 1_000), [1_000, 2_000, 2_500, 9_000]) == Compared(written=2, lost=0, twice=0)


def test_the_agent_loses_nothing_when_it_is_killed_and_when_the_sink_refuses(tmp_path):
    command = [sys.executable, "-m", "benchmarks.losses", "--quick", "--results", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    [row] = orjson.loads((tmp_path / "losses.json").read_bytes())["rows"]
    assert (row["lost_by_kills"], row["lost_by_outage"]) == (0, 0)
    assert row["written"] > 500
    assert row["written_in_outage"] > 500


def test_a_run_without_a_peer_keeps_the_older_run_that_measured_it(tmp_path):
    stored(tmp_path / "catch_up.json", "falcowatch", "fluent-bit")

    keep_peers("catch_up", {"falcowatch", "tenzir"}, chosen(tmp_path))

    assert names(tmp_path) == ["catch_up-2026-11-26.json"]


def test_two_kept_runs_of_one_day_do_not_overwrite_each_other(tmp_path):
    stored(tmp_path / "catch_up-2026-11-26.json", "falcowatch", "fluent-bit")
    stored(tmp_path / "catch_up.json", "falcowatch", "tenzir")

    keep_peers("catch_up", {"falcowatch"}, chosen(tmp_path))

    assert names(tmp_path) == ["catch_up-2026-11-26-2.json", "catch_up-2026-11-26.json"]


def test_a_kept_run_goes_when_all_its_peers_are_measured_again(tmp_path):
    stored(tmp_path / "catch_up-2026-11-26.json", "falcowatch", "fluent-bit")
    stored(tmp_path / "catch_up.json", "falcowatch", "falcowatch-plain")

    keep_peers("catch_up", {"falcowatch", "fluent-bit"}, chosen(tmp_path))

    assert names(tmp_path) == []


def test_a_quick_run_changes_no_stored_run(tmp_path):
    stored(tmp_path / "catch_up.json", "falcowatch", "fluent-bit")

    keep_peers("catch_up", {"falcowatch"}, chosen(tmp_path, quick=True))

    assert names(tmp_path) == ["catch_up.json"]


def stored(path: Path, *shippers: str) -> None:
    found: dict[str, Any] = {
        "setting": {"date": "2026-11-26"},
        "rows": [{"shipper": shipper} for shipper in shippers],
    }
    path.write_bytes(orjson.dumps(found))


def chosen(results: Path, *, quick: bool = False) -> argparse.Namespace:
    return argparse.Namespace(results=results, quick=quick)


def names(results: Path) -> list[str]:
    return sorted(path.name for path in results.iterdir())
