"""A quick run of `benchmarks.catch_up` works. The numbers are not checked."""

import subprocess
import sys

import orjson

COLUMNS = {"shipper", "tls", "us_per_alert", "alerts_per_cpu_second", "baseline_us", "peak_mb", "sink_cpu_seconds"}


def test_a_quick_run_writes_a_table_and_json(tmp_path):
    command = [sys.executable, "-m", "benchmarks.catch_up", "--quick", "--results", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    written = orjson.loads((tmp_path / "catch_up.json").read_bytes())
    assert written["quick"]
    assert [(row["shipper"], row["tls"]) for row in written["rows"]] == [
        ("falcowatch", "on"),
        ("falcowatch-no-seals", "on"),
        ("falcowatch-plain", "on"),
        ("falcowatch", "off"),
    ]
    assert all(row.keys() >= COLUMNS for row in written["rows"])
    assert written["absent_peers"] == "fluent-bit-kubernetes, fluent-bit-crash-safe, fluent-bit, tenzir, syslog-ng"
