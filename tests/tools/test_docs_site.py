"""The documentation builds as a site: every page has a place in the navigation, and every link has a target."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT
from tools.site_tables import on_page_content
from tools.site_titles import on_page_markdown

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

CODE_COLUMNS = 104
"""A longer line of code is cut off on the site beside a table of contents, in a window of 1280 pixels."""
WIDE_CODE_COLUMNS = 120
"""A page without headings has no table of contents, so its text is wider (docs/site.css)."""

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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_line_of_code_is_cut_off(page: Path):
    text = page.read_text()
    most = CODE_COLUMNS if re.search(r"^## ", text, re.MULTILINE) else WIDE_CODE_COLUMNS
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)

    assert [line for block in blocks for line in block.splitlines() if len(line) > most] == []


def test_a_short_name_in_a_table_never_breaks_and_a_long_one_breaks_after_a_separator():
    def shown(code: str) -> str:
        row = on_page_content(f"<table><tr><td>key</td><td><code>{code}</code></td></tr></table>")
        return row.partition("<td>key</td><td>")[2].removesuffix("</td></tr></table>")

    assert shown("PutLogEvents") == '<code class="unbroken">PutLogEvents</code>'
    assert shown("&lt;node&gt;/urgent") == '<code class="unbroken">&lt;node&gt;/urgent</code>'
    assert shown("test_a_renamed_file_is_read") == "<code>test_<wbr>a_<wbr>renamed_<wbr>file_<wbr>is_<wbr>read</code>"
    assert shown("helm test") == "<code>helm test</code>"


@pytest.mark.parametrize("key", ["falcowatch_last_acknowledged_timestamp_seconds", "Falcowatch: dead letter lost"])
def test_a_key_in_the_first_column_never_breaks(key: str):
    shown = on_page_content(f"<table><tr><td><code>{key}</code></td><td></td></tr></table>")

    assert f'<code class="unbroken">{key}</code>' in shown


def test_code_outside_of_tables_stays_as_it_is():
    text = "<p><code>PutLogEvents</code></p>"

    assert on_page_content(text) == text
