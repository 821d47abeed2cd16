"""The page: what it says, that nothing on it can become markup, and that a real browser agrees."""

import asyncio
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agent.http import Alert, Books, Falco, FileReport, LaneReport, Probe
from agent.http.page import render
from tests.http.conftest import CALM, NOW, OK, READY, Face

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

HOSTILE = "</style><script>alert('x')</script><img src=x onerror=alert(1)>\"'&\u202e"


class Page(HTMLParser):
    """Elements, attributes and text as a browser would take them."""

    VOID = frozenset({"meta", "link", "br", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(report=CALM, health=OK, readiness=READY) -> Page:
    return Page(render(report, health, readiness))


def words_of(page: Page) -> str:
    return " ".join(" ".join(page.text).split())


def test_a_calm_page_answers_the_four_questions():
    words = words_of(page_of())

    assert "Nothing is lost. 1,000 records read, 96.0 % shipped, 30 in flight. Every one is accounted for." in words
    assert "Is anything lost? No" in words
    assert "How far behind? 0.3 s 2.0 KiB not settled" in words
    assert "Who slows us? Nobody" in words
    assert "What does Falco see? 1 alert wrote 2.0 s ago" in words


def test_every_element_that_opens_closes():
    assert page_of().open == []


def test_no_text_from_outside_becomes_markup():
    report = replace(
        CALM,
        node=HOSTILE,
        cluster=HOSTILE,
        group=HOSTILE,
        version=HOSTILE,
        lanes=(LaneReport(HOSTILE, HOSTILE, 1, 100.0),),
        files=(FileReport(HOSTILE, HOSTILE, 2, 1, HOSTILE),),
        puts={HOSTILE: 1},
        filtered={HOSTILE: 1},
        dead_letters={HOSTILE: 1},
        last_alerts=(Alert(NOW, HOSTILE, HOSTILE, HOSTILE),),
        falco=Falco(1.0, versions=(HOSTILE,), alerts_by_priority={HOSTILE: 1}),
    )
    probes = (Probe(HOSTILE, False, HOSTILE),)

    hostile, calm = page_of(report, probes, probes), page_of()

    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in calm.tags} | {"ul", "li"}
    assert [tag for tag, _ in hostile.tags].count("script") == 1
    assert not [name for _, attributes in hostile.tags for name in attributes if name.startswith("on")]
    assert words_of(hostile).count("onerror=alert(1)") >= 15


def test_the_page_needs_nothing_from_elsewhere():
    for tag, attributes in page_of().tags:
        assert "style" not in attributes, "the policy allows no inline style"
        if source := attributes.get("src") or (attributes.get("href") if tag != "a" else None):
            assert source.startswith("data:")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", render(CALM, OK, READY).replace("%3A", ":"))


def test_without_script_the_page_comes_anew_by_itself():
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in render(CALM, OK, READY)


def test_before_the_first_record_the_page_says_so():
    empty = replace(
        CALM, books=Books(0, 0, 0, 0, 0), lanes=(), files=(), last_alerts=(), falco=Falco(), last_acknowledged_at=None
    )

    words = words_of(page_of(empty))

    assert "No record has been read yet." in words
    assert "No log file of Falco found yet." in words
    assert "No alert yet." in words
    assert "Last acknowledged never" in words


def test_of_very_many_files_those_most_behind_are_shown():
    many = tuple(FileReport(f"/logs/{number}.log", str(number), 1_000, number) for number in range(100))

    words = words_of(page_of(replace(CALM, files=many)))

    assert "Files 100" in words
    assert "/logs/ 0.log" in words
    assert "/logs/ 99.log" not in words
    assert "and 60 more, in /status" in words


def test_a_probe_in_both_lists_is_shown_once():
    words = words_of(page_of(CALM, OK, (*OK, *READY)))

    assert words.count("the event loop answers") == 1


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian package chromium)")


async def browse(face: Face, profile: Path, *options: str) -> tuple[str, str]:
    """The document after a while in a real browser, and what the browser wrote to its console."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM or "", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--enable-logging=stderr", *options, f"http://127.0.0.1:{face.port}/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    console = "\n".join(line for line in err.decode(errors="replace").splitlines() if "CONSOLE" in line)
    return out.decode(), console


@needs_browser
async def test_a_browser_keeps_the_page_current_within_its_policy(face, tmp_path):
    face.grows = True

    document, console = await browse(face, tmp_path, "--dump-dom", "--virtual-time-budget=7000")

    assert console == ""
    assert face.asked > 1, "the script has asked again"
    shown = re.search(r"([\d,]+) records read,", document)
    assert shown
    assert int(shown[1].replace(",", "")) > 1_001, "and has written what it got"
    assert document.count('id="page"') == 1


@needs_browser
@pytest.mark.parametrize("width", [360, 1200])
async def test_the_page_fits_the_width_of_a_phone_and_of_a_desk(face, tmp_path, width):
    face.change(
        last_alerts=(Alert(NOW, "Informational", "x" * 200, "y" * 200),), files=(FileReport("/z" * 200, "1", 2, 1),)
    )
    shot = tmp_path / "page.png"

    await browse(face, tmp_path, f"--window-size={width},2000", f"--screenshot={shot}")

    assert shot.read_bytes().startswith(b"\x89PNG")
