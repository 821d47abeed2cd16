"""Quick runs of these benchmarks work and write the JSON for docs/benchmarks.md. The numbers are not checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson


def test_start_reports_times_and_memory(tmp_path):
    found = quick("start", tmp_path)

    assert found["rows"][0].keys() >= {"enrichment", "tls", "seconds", "cpu_seconds", "resident_mb", "peak_mb", "goal"}
    assert found["goal_seconds"] == 0.6
    assert found["rounds"]


def test_memory_is_measured_idle_with_a_backlog_and_over_a_long_time(tmp_path):
    found = quick("memory", tmp_path)

    assert found["rows"][0].keys() == {"when", "resident_mb", "most_mb", "goal"}
    assert found["idle"][0].keys() >= {"enrichment", "resident_mb", "goal_mb", "met"}
    assert all(row["arrived"] >= row["alerts"] for row in found["backlogs"])
    assert all(row.keys() >= {"backlog_mb", "away_mb", "draining_mb", "draining_most_mb"} for row in found["backlogs"])
    assert all(row["arrived_more_than_written"] >= 0 for row in found["long_time"])
    assert all(row.keys() >= {"rotations", "resident_mb", "open_files"} for row in found["long_time"])


def test_the_footprint_names_each_import_the_first_put_and_the_rest(tmp_path):
    found = quick("footprint", tmp_path)

    assert [row["stage"] for row in found["rows"]][-2:] == ["the first put", "at rest"]
    assert found["rows"][0].keys() == {"stage", "added_mb", "resident_mb", "without_a_file_mb", "cpu_ms"}
    by_import = [row["resident_mb"] for row in found["rows"][:-2]]
    assert by_import == sorted(by_import)


def test_scale_is_measured_for_alerts_files_and_pods(tmp_path):
    found = quick("scale", tmp_path)

    assert {row["scaled"] for row in found["rows"]} == {"alerts", "files", "pods"}
    assert all(row.keys() >= {"number", "us_per_alert", "resident_mb"} for row in found["alerts"])
    assert all(row.keys() >= {"number", "us_per_alert", "idle_percent"} for row in found["files"])
    assert all(row.keys() >= {"idle_ms_per_second", "churning_ms_per_second"} for row in found["pods"])


def test_fleet_compares_calculation_and_simulation_with_the_quota(tmp_path):
    found = quick("fleet", tmp_path)

    assert found["rows"][0].keys() >= {"load", "quota", "puts_per_node", "nodes_on_paper", "nodes"}
    assert found["storms"][0].keys() >= {"nodes", "throttled_percent", "drained_last", "urgent_p99"}
    assert {"loads", "storm", "beyond", "seed", "max_puts_per_second"} <= found.keys()


def test_an_audit_proves_the_events_of_an_export(tmp_path):
    found = quick("audit", tmp_path)

    (row,) = found["rows"]
    assert (row["events"], row["exit code"], row["verdict"]) == (20_000, 0, "proved")
    assert row["CPU seconds"] > 0
    assert row["peak MiB"] > 0


def quick(name: str, results: Path) -> dict[str, Any]:
    """The JSON of a quick run."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--results", str(results)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = orjson.loads((results / f"{name}.json").read_bytes())
    assert found["quick"] is True
    return found
