"""The first table and the first picture of the benchmarks' page: the agent beside other log shippers."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from benchmarks.comparison import PICTURE, picture, section
from benchmarks.report import PAGE, render

CPU, KILLS, OUTAGE, RUN = "CPU time an alert", "lost by kill -9", "lost in an outage", "run"


def test_a_peer_is_compared_with_the_agent_of_its_own_run():
    old = catch_up("2026-11-20", falcowatch=10.0, fluent_bit=40.0)
    new = catch_up("2026-11-28", falcowatch=20.0)

    rows, runs = section({"catch_up": new, "catch_up-2026-11-20": old})

    assert row(rows, "Falcowatch")[CPU] == "1.0 ×"
    assert row(rows, "Fluent Bit 5.1.1, no metadata")[CPU] == "4.0 ×"
    assert [row(rows, name)[RUN] for name in ("Falcowatch", "Fluent Bit 5.1.1, no metadata")] == ["1", "2"]
    assert [run[:60] for run in runs] == [
        "**Run 1:** `benchmarks.catch_up` on 2026-11-28, Linux, 2 cor",
        "**Run 2:** `benchmarks.catch_up` on 2026-11-20, Linux, 2 cor",
    ]


def test_a_peer_without_tls_is_compared_with_the_agent_without_tls():
    found = catch_up("2026-11-28", falcowatch=20.0)
    found["rows"] += [cost("tenzir", 15.0, tls="off")]

    rows, [run] = section({"catch_up": found})

    assert row(rows, "Tenzir")[CPU] == "1.5 ×"
    assert "tenzir cannot trust the sink's certificate and ran without TLS, beside Falcowatch without TLS (10" in run


def test_a_run_shows_the_cost_of_seals():
    found = catch_up("2026-11-28", falcowatch=20.0, falcowatch_no_seals=19.0)

    [run] = section({"catch_up": found})[1]

    assert "It used 20.0 µs of CPU time an alert, 19.0 µs without seals." in run.replace("\N{NO-BREAK SPACE}", " ")


def test_what_no_run_has_measured_says_so():
    rows, runs = section({})

    assert {each[CPU] for each in rows} == {"not measured here"}
    assert row(rows, "Falcowatch")[KILLS] == row(rows, "syslog-ng")[OUTAGE] == "not measured here"
    assert not runs
    assert not picture({})


def test_losses_show_what_was_lost_and_what_was_sent_twice():
    ours = losses("falcowatch", kills=(0, 30), outage=(0, 0))
    theirs = losses("syslog-ng", kills=(1200, 0), outage=(88_000, 0))
    found = {"title": "10 kills", "quick": False, "setting": SETTING, "rows": [ours, theirs]}

    rows, _ = section({"losses": found})

    assert row(rows, "Falcowatch")[KILLS] == "0 of 5,000; 30 sent twice"
    assert row(rows, "syslog-ng")[OUTAGE] == "88,000 of 100,000; it ended 1 × by itself"


def test_the_losses_of_a_peer_that_does_not_tail_are_no_question():
    assert row(section({})[0], "Tenzir")[KILLS] == "does not follow a file that grows"


def test_a_run_on_a_busy_machine_says_so():
    busy = catch_up("2026-11-28", falcowatch=20.0)
    busy["setting"] = busy["setting"] | {"load": 15.2}

    assert "The machine was busy with other work (load average 15.2 on 2 cores)" in section({"catch_up": busy})[1][0]
    assert "busy" not in section({"catch_up": catch_up("2026-11-28", falcowatch=20.0)})[1][0]


def test_the_page_begins_with_the_picture_and_the_table_and_the_picture_has_no_goal():
    rendered = render({"catch_up": catch_up("2026-11-28", falcowatch=10.0, fluent_bit=27.0)})

    before_the_questions = rendered.pages[PAGE].partition("\n## ")[0]
    assert before_the_questions.index(PICTURE) < before_the_questions.index("| log shipper |")
    words = {element.text for element in ElementTree.fromstring(rendered.plots[PICTURE]).iter()}
    assert {"Falcowatch", "Fluent Bit 5.1.1, no metadata", "2.7", "not measured"} <= words
    assert not any("goal" in (word or "") for word in words)


SETTING = {"python": "3.11.7", "cores": 2, "orjson": "3.13.0", "machine": "Linux"}


def catch_up(date: str, **costs: float) -> dict[str, Any]:
    return {
        "title": "1,000 alerts",
        "quick": False,
        "setting": SETTING | {"date": date, "load": 0.1},
        "versions": {"fluent-bit": "5.1.1"},
        "absent_peers": "none",
        "rows": [cost(name.replace("_", "-"), us) for name, us in costs.items()]
        + [cost("falcowatch", costs["falcowatch"] / 2, tls="off")],
    }


def cost(shipper: str, us: float, *, tls: str = "on") -> dict[str, Any]:
    return {
        "shipper": shipper, "tls": tls, "us_per_alert": us, "baseline_us": 5.0, "peak_mb": 80.0, "wire_bytes": 200.0,
    }  # fmt: skip


def losses(shipper: str, *, kills: tuple[int, int], outage: tuple[int, int]) -> dict[str, Any]:
    return {
        "shipper": shipper, "written": 5_000, "lost_by_kills": kills[0], "sent_twice_after_kills": kills[1],
        "written_in_outage": 100_000, "lost_by_outage": outage[0], "sent_twice_after_outage": outage[1],
        "ended_by_itself": int(shipper != "falcowatch"),
    }  # fmt: skip


def row(rows: Any, name: str) -> Any:
    found = next(each for each in rows if each["log shipper"].strip("*") == name)
    return {column: cell.replace("\N{NO-BREAK SPACE}", " ") for column, cell in found.items()}
