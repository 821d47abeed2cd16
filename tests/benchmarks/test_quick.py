"""Catching up is still measured, beside its floor; what it came to is nobody's business here."""

import subprocess
import sys

import orjson

COLUMNS = {"shipper", "tls", "us_per_alert", "alerts_per_cpu_second", "floor_us", "peak_mb", "sink_cpu_seconds"}


def test_a_quick_run_ends_with_a_table_and_its_json(tmp_path):
    command = [sys.executable, "-m", "benchmarks.catch_up", "--quick", "--results", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    written = orjson.loads((tmp_path / "catch_up.json").read_bytes())
    assert written["quick"]
    assert all(row.keys() >= COLUMNS for row in written["rows"])
    assert written["absent_peers"] == "fluent-bit, fluent-bit-kubernetes, fluent-bit-crash-safe"
