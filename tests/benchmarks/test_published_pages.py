"""The published pages and plots of the benchmarks: they show the stored results, in words, and no text is cut off."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from benchmarks.headings import heading
from benchmarks.report import DOCS, read, render
from benchmarks.reports import _judged
from benchmarks.results import RESULTS
from benchmarks.svg import Axis, Line, lines

PUBLISHED = render(read(RESULTS))


def test_the_pages_and_plots_show_the_stored_results():
    stale = [name for name, text in PUBLISHED.pages.items() if (DOCS / name).read_text() != text]
    stale += [name for name, plot in PUBLISHED.plots.items() if (DOCS / "benchmarks" / name).read_text() != plot]

    assert stale == [], "run python -m benchmarks.report"


def test_every_benchmark_was_measured_and_none_by_a_quick_run():
    for name, page in PUBLISHED.pages.items():
        assert "Not measured yet" not in page, name
        assert "quick run:" not in page, name


def test_a_heading_has_words_and_units_in_place_of_the_stored_name():
    assert heading("resident_mb") == "resident MB"
    assert heading("us_per_alert") == "µs of CPU an alert"
    assert heading("sent_twice_after_kills") == "sent twice after kills"


def test_a_missed_goal_never_shows_the_number_of_the_goal():
    assert _judged("times", 2.997, 3.0, "×", at_least=True).words == "times: 2.997 × (at least 3)"
    assert _judged("time", 6.0, 6.0, "µs").words == "time: 6 µs (at most 6)"


def test_a_long_name_in_the_legend_continues_on_further_lines():
    axis = Axis("x", least=0.0)

    picture = ElementTree.fromstring(lines("T", axis, axis, [Line("a single alert after a quiet time", [(0, 1)])]))

    shown = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert shown[-2:] == ["a single alert", "after a quiet time"]
