"""The generated pages and the dashboard are up to date, and `--check` reports a file that is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT, dashboards, docs
from tools.dashboards import __main__ as dashboard_command
from tools.dashboards.render import text

DASHBOARD = ROOT / "helm/falcowatch/files/dashboard.json"


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_a_generated_page_is_up_to_date(name: str):
    assert (ROOT / "docs" / name).read_text() == docs.PAGES[name](), "run python -m tools.docs"


def test_the_dashboard_is_up_to_date():
    assert DASHBOARD.read_text() == text(), "run python -m tools.dashboards"


@pytest.mark.parametrize("module", [docs, dashboards], ids=lambda module: module.__name__)
def test_a_check_of_current_files_reports_nothing(module):
    command = [sys.executable, "-m", module.__name__, "--check"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")


def test_a_check_names_the_page_that_is_out_of_date_and_leaves_it(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    docs.main([])
    (tmp_path / "metrics.md").write_text("old")

    assert docs.main(["--check"]) == 1

    assert capsys.readouterr().err == "docs/metrics.md is out of date; run python -m tools.docs\n"
    assert (tmp_path / "metrics.md").read_text() == "old"


def test_a_check_reports_a_dashboard_that_is_out_of_date_and_leaves_it(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(dashboard_command, "TARGET", tmp_path / "dashboard.json")
    (tmp_path / "dashboard.json").write_text("{}")

    assert dashboard_command.main(["--check"]) == 1

    assert "dashboard.json is out of date; run python -m tools.dashboards" in capsys.readouterr().err
    assert (tmp_path / "dashboard.json").read_text() == "{}"
