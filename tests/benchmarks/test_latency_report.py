"""The latency benchmark measures all its cases, and the page of reports follows from the stored results."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import orjson

from benchmarks.report import FLEET, METHOD, PAGE, render, table
from benchmarks.svg import Axis, Bar, Line, bars, lines

WORDS = ("single", "50 a second", "2,000 a second", "Critical")
SETTING = {"python": "3.11.7", "cores": 2, "orjson": "3.13.0"}


def test_every_case_is_measured_in_the_order_of_its_goals(tmp_path):
    done = run("latency", "--quick", "--results", str(tmp_path))

    assert done.returncode == 0, done.stderr[-2000:]
    found = orjson.loads((tmp_path / "latency.json").read_bytes())
    assert [next(word for word in WORDS if word in row["case"]) for row in found["rows"]] == list(WORDS)
    assert all(row["alerts"] for row in found["rows"])
    assert all(row["p50_ms"] <= row["p99_ms"] <= row["worst_ms"] for row in found["rows"])
    assert found["quick"] is True
    assert "A quick run" in render({"latency": found}).pages[PAGE]


def test_the_page_lists_missed_goals_before_met_goals():
    page = render({"latency": latency()}).pages[PAGE]

    missed = (
        "50 a second: 5.5 puts a second (at most 5); Critical in a flood: none arrived; "
        "Notice alerts waiting at the end of the flood: 900 (at least 1,000,000)"
    )
    assert f"- **Missed:** {missed}.\n- Met: a single alert: 30 ms at p99 (at most 50);" in page


def test_the_page_about_the_method_says_when_and_where_each_program_ran():
    page = render({"latency": latency()}).pages[METHOD]

    assert "3 of 6 met" in page
    assert "| 2026-11-23 x86_64 | 2 | not recorded | 3.11.7 | orjson 3.13.0 |" in page


def test_whole_distributions_are_plotted_where_the_results_have_them():
    kept = {"distributions": {"a single alert": [9.0] * 100 + [30.0], "Critical in a flood": [None] * 101}}

    table_only, curves = (render({"latency": found}).plots["latency.svg"] for found in (latency(), latency() | kept))

    assert "a single alert, p99" in texts(ElementTree.fromstring(table_only))
    assert {"a single alert", "milliseconds"} <= texts(ElementTree.fromstring(curves))


def test_the_page_marks_benchmarks_without_results():
    rendered = render({})

    assert "".join(rendered.pages.values()).count("Not measured yet.") == 9
    assert not rendered.plots


def test_the_tables_of_the_fleet_have_a_page_of_their_own():
    rendered = render({})

    title = "How many nodes can share an account's quota?"
    assert f"# {title}" in rendered.pages[FLEET]
    assert f"# {title}" not in rendered.pages[PAGE]


def test_the_page_marks_quick_runs():
    assert "A quick run" in render({"latency": latency() | {"quick": True}}).pages[PAGE]


def test_a_peer_with_less_than_three_times_the_cost_is_a_missed_goal():
    page = render({"catch_up": catch_up(ours=5.0, theirs=14.0)}).pages[PAGE]

    assert "**Missed:** alerts per CPU second compared with fluent-bit in the same run: 2.8 × (at least 3)." in page
    assert "CPU time for each alert with TLS: 5 µs (at most 6)" in page


def test_the_page_names_an_absent_peer():
    assert "not compared: fluent-bit." in render({"catch_up": catch_up(ours=5.0, theirs=None)}).pages[PAGE]


def test_check_fails_until_page_and_plots_match_the_results(tmp_path):
    results, docs = tmp_path / "results", tmp_path / "docs"
    results.mkdir()
    (results / "latency.json").write_bytes(orjson.dumps(latency()))
    places = ("--results", str(results), "--docs", str(docs))

    before = run("report", "--check", *places)
    written = run("report", *places)
    after = run("report", "--check", *places)
    (docs / "benchmarks" / "obsolete.svg").write_text("<svg/>")
    (docs / "benchmarks" / "latency.svg").write_text("<svg/>")
    changed = run("report", "--check", *places)
    run("report", *places)

    assert (before.returncode, written.returncode, after.returncode, changed.returncode) == (1, 0, 0, 1)
    assert "obsolete.svg" in changed.stderr
    assert "latency.svg" in changed.stderr
    assert [path.name for path in (docs / "benchmarks").iterdir()] == ["latency.svg"]


def test_a_table_aligns_numbers_and_escapes_pipes():
    assert table([{"what_is": "a|b", "ms": 1.5}, {"what_is": "c", "ms": None}]) == (
        "| what is | ms |\n| --- | ---: |\n| a\\|b | 1.5 |\n| c | none arrived |\n"
    )


def test_a_plot_of_lines_is_valid_svg_with_all_names():
    across, up = Axis("how many", logarithmic=True), Axis("µs & more", least=0.0)

    picture = ElementTree.fromstring(lines("Cost", across, up, [Line("ours", [(1, 5), (1000, 5.5)])]))

    assert {"Cost", "ours", "how many", "µs & more", "1,000"} <= texts(picture)


def test_a_plot_with_a_single_point_or_equal_values_is_valid():
    for axis in (Axis("x", logarithmic=True), Axis("x"), Axis("x", least=0.0)):
        ElementTree.fromstring(lines("One", axis, axis, [Line("it", [(1, 1)])]))


def test_bars_show_their_numbers():
    picture = ElementTree.fromstring(bars("Cost", "µs", [Bar("ours", 5.0), Bar("theirs", 17.6)]))

    assert {"ours", "5 µs", "17.6 µs"} <= texts(picture)


def latency() -> dict[str, Any]:
    row = {"alerts": 30, "p50_ms": 9.0, "p99_ms": 30.0, "worst_ms": 30.0, "puts_a_second": 5.5, "still_waiting": 900}
    nothing = {"p50_ms": None, "p99_ms": None, "worst_ms": None}
    cases = ("a single alert", "50 a second", "2,000 a second", "Critical in a flood")
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
            {
                "shipper": name,
                "tls": tls,
                "us_per_alert": cost,
                "baseline_us": 4.0,
                "peak_mb": 90.0,
                "wire_bytes": 200.0,
            }
            for tls in ("on", "off")
            for name, cost in costs.items()
            if tls == "on" or name == "falcowatch"
        ],
    }


def texts(picture: ElementTree.Element) -> set[str | None]:
    return {element.text for element in picture.iter() if element.tag.endswith("text")}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
