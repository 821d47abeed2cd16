"""The documentation builds as a site: every page has a place in the navigation, and every link has a target."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT
from tools.site_titles import on_page_markdown

pytest.importorskip("mkdocs", reason="needs the dev group's mkdocs")


def build(configuration: Path, site: Path) -> subprocess.CompletedProcess[str]:
    places = ["--config-file", str(configuration), "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *places]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_other_hosts(tmp_path: Path):
    result = build(ROOT / "mkdocs.yml", tmp_path)

    assert result.returncode == 0, result.stderr
    for page in sorted(tmp_path.glob("*.html")):
        html = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"', html)
        loaded += re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(https?:[^"]+)"', html)
        assert loaded == [], page.name
        assert "unpkg.com" not in html, page.name  # where the theme loads scripts from when a feature needs them


def test_a_link_without_a_target_and_a_page_without_a_place_are_errors(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Index\n\n[nowhere](nowhere.md) [no heading](index.md#no-heading)\n")
    (tmp_path / "docs/lost.md").write_text("# Lost\n")
    settings = (ROOT / "mkdocs.yml").read_text()
    head, _, _ = settings.partition("nav:\n  - index.md\n")
    head = head.replace("tools/", f"{ROOT}/tools/")
    (tmp_path / "mkdocs.yml").write_text(f"{head}nav:\n  - index.md\n")

    result = build(tmp_path / "mkdocs.yml", tmp_path / "site")

    assert result.returncode == 1
    for warning in ("'nowhere.md'", "index.md#no-heading", "lost.md"):
        assert warning in result.stderr


def test_a_link_that_names_a_file_shows_the_title_of_its_page(tmp_path: Path):
    (tmp_path / "iam.md").write_text("<!-- Generated. -->\n# AWS permissions\n")
    written = "see [iam.md](iam.md#option-1), [the walk](walk.md), [gone.md](gone.md)"

    shown = on_page_markdown(written, config={"docs_dir": str(tmp_path)})

    assert shown == "see [AWS permissions](iam.md#option-1), [the walk](walk.md), [gone.md](gone.md)"
