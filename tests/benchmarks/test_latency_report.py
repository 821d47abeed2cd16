"""That latency is measured in all its scenarios, and that the page says what the results say."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import orjson

from benchmarks.report import report, table
from benchmarks.svg import Axis, Bar, Line, bars, lines

WORDS = ("lone", "50 a second", "2,000 a second", "Critical")
SETTING = {"python": "3.11.7", "cores": 2, "orjson": "3.13.0"}


def test_every_case_is_measured_in_the_order_in_which_the_page_judges_them(tmp_path):
    done = run("latency", "--quick", "--results", str(tmp_path))

    assert done.returncode == 0, done.stderr[-2000:]
    found = orjson.loads((tmp_path / "latency.json").read_bytes())
    assert [next(word for word in WORDS if word in row["case"]) for row in found["rows"]] == list(WORDS)
    assert all(row["alerts"] for row in found["rows"])
    assert all(row["p50_ms"] <= row["p99_ms"] <= row["worst_ms"] for row in found["rows"])
    assert found["quick"] is True
    assert "A quick run" in report({"latency": found}).page


def test_missed_goals_stand_on_the_page_before_those_that_were_met():
    page = report({"latency": latency()}).page

    missed = "50 a second: 5.5 puts a second (at most 5); Critical in a flood: none arrived; the flood left 900 Notices"
    assert (
        f"- **Missed:** {missed} waiting (at least 1,000,000).\n- Met: a lone alert: 30 ms at p99 (at most 50);" in page
    )
    assert "3 of 6 met" in page
    assert "| 2026-11-23 x86_64 | 2 | 3.11.7 | orjson 3.13.0 |" in page


def test_whole_distributions_are_drawn_where_a_program_kept_them():
    kept = {"distributions": {"a lone alert": [9.0] * 100 + [30.0], "Critical in a flood": [None] * 101}}

    table_only, curves = (report({"latency": found}).plots["latency.svg"] for found in (latency(), latency() | kept))

    assert "a lone alert, p99" in texts(ElementTree.fromstring(table_only))
    assert {"a lone alert", "milliseconds"} <= texts(ElementTree.fromstring(curves))


def test_what_was_not_measured_is_said_to_be_so():
    made = report({})

    assert made.page.count("Not measured yet.") == 6
    assert not made.plots


def test_a_quick_run_is_called_one():
    assert "A quick run" in report({"latency": latency() | {"quick": True}}).page


def test_a_peer_that_costs_less_than_three_times_as_much_is_a_missed_goal():
    page = report({"catch_up": catch_up(ours=5.0, theirs=14.0)}).page

    assert "**Missed:** alerts per CPU-second against fluent-bit, side by side: 2.8 × (at least 3)." in page
    assert "CPU of an alert, with TLS: 5 µs (at most 6)" in page


def test_an_absent_peer_is_named():
    assert "not compared: fluent-bit." in report({"catch_up": catch_up(ours=5.0, theirs=None)}).page


def test_check_fails_until_the_page_and_its_plots_are_what_the_results_give(tmp_path):
    results, docs = tmp_path / "results", tmp_path / "docs"
    results.mkdir()
    (results / "latency.json").write_bytes(orjson.dumps(latency()))
    places = ("--results", str(results), "--docs", str(docs))

    before = run("report", "--check", *places)
    written = run("report", *places)
    after = run("report", "--check", *places)
    (docs / "benchmarks" / "of-old.svg").write_text("<svg/>")
    (docs / "benchmarks" / "latency.svg").write_text("<svg/>")
    astray = run("report", "--check", *places)
    run("report", *places)

    assert (before.returncode, written.returncode, after.returncode, astray.returncode) == (1, 0, 0, 1)
    assert "of-old.svg" in astray.stderr
    assert "latency.svg" in astray.stderr
    assert [path.name for path in (docs / "benchmarks").iterdir()] == ["latency.svg"]


def test_a_table_aligns_numbers_and_escapes_its_own_signs():
    assert table([{"what_is": "a|b", "ms": 1.5}, {"what_is": "c", "ms": None}]) == (
        "| what is | ms |\n| --- | ---: |\n| a\\|b | 1.5 |\n| c | none arrived |\n"
    )


def test_lines_are_one_valid_picture_with_a_name_for_each():
    across, up = Axis("how many", logarithmic=True), Axis("µs & more", least=0.0)

    picture = ElementTree.fromstring(lines("Cost", across, up, [Line("ours", [(1, 5), (1000, 5.5)])]))

    assert {"Cost", "ours", "how many", "µs & more", "1,000"} <= texts(picture)


def test_a_single_point_and_equal_values_can_be_drawn():
    for axis in (Axis("x", logarithmic=True), Axis("x"), Axis("x", least=0.0)):
        ElementTree.fromstring(lines("One", axis, axis, [Line("it", [(1, 1)]), Line("goal", [(1, 1)], is_goal=True)]))


def test_bars_end_in_their_numbers():
    picture = ElementTree.fromstring(bars("Cost", "µs", [Bar("ours", 5.0), Bar("theirs", 17.6)], goal=6.0))

    assert {"ours", "5 µs", "17.6 µs", "goal: 6 µs"} <= texts(picture)


def latency() -> dict[str, Any]:
    row = {"alerts": 30, "p50_ms": 9.0, "p99_ms": 30.0, "worst_ms": 30.0, "puts_a_second": 5.5, "still_waiting": 900}
    nothing = {"p50_ms": None, "p99_ms": None, "worst_ms": None}
    cases = ("a lone alert", "50 a second", "2,000 a second", "Critical in a flood")
    rows = [{"case": case} | row | (nothing if "Critical" in case else {}) for case in cases]
    return {
        "title": "from write to receipt",
        "quick": False,
        "setting": SETTING,
        "date": "2026-11-23",
        "machine": "x86_64",
        "rows": rows,
    }


def catch_up(*, ours: float, theirs: float | None) -> dict[str, Any]:
    costs = {"falcowatch": ours} | ({} if theirs is None else {"fluent-bit": theirs})
    return {
        "title": "alerts",
        "quick": False,
        "setting": SETTING,
        "absent_peers": "fluent-bit" if theirs is None else "none",
        "rows": [
            {"shipper": name, "tls": tls, "us_per_alert": cost, "floor_us": 4.0, "peak_mb": 90.0}
            for tls in ("on", "off")
            for name, cost in costs.items()
        ],
    }


def texts(picture: ElementTree.Element) -> set[str | None]:
    return {element.text for element in picture.iter() if element.tag.endswith("text")}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
