"""The table of the fleet fits the terminal: a narrow one shows fewer columns, and names those that are absent."""

import io
import re

import pytest
from rich.console import Console

from agent.fleet.heartbeats import Heartbeat
from agent.fleet.judgement import judged
from agent.fleet.table import table

NOW_MS = 1_800_000_000_000
LAST = Heartbeat("ip-10-0-1-7.eu-west-1.compute.internal", NOW_MS - 10_000)


def shown(width: int) -> str:
    screen = io.StringIO()
    fleet = judged([LAST], from_ms=NOW_MS - 900_000, now_ms=NOW_MS)
    Console(file=screen, width=width).print(table(fleet, now_ms=NOW_MS, window="15m"))
    return screen.getvalue()


@pytest.mark.parametrize("width", [70, 80, 100, 130])
def test_no_cell_is_cut_off_in_a_narrow_terminal(width: int):
    screen = shown(width)

    assert "…" not in screen
    assert max(len(line) for line in screen.splitlines()) <= width


def test_a_narrow_terminal_names_the_columns_that_it_leaves_out():
    assert "left out in 80 columns: settings, version, unacked, filtered" in re.sub(r"\s+", " ", shown(80))


def test_a_wide_terminal_shows_every_column():
    assert "left out" not in shown(160)
    assert "settings" in shown(160)
