"""The page: what it says, that nothing on it can become markup, and that a real browser agrees."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from agent.settings import Http
from agent.web import Alert, Books, Falco, FileReport, LaneReport, Probe
from agent.web.page import render
from tests.web.browser import CHROMIUM, browser
from tests.web.conftest import CALM, NOW, OK, READY, Face

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


def test_priorities_stand_from_the_most_urgent_on_and_unknown_ones_last():
    falco = Falco(alerts_by_priority={"Notice": 3, "Odd": 1, "Critical": 2, "Informational": 4, "Error": 0})

    words = words_of(page_of(replace(CALM, falco=falco)))

    assert "Critical 2 Notice 3 Informational 4 Odd 1" in words


def test_slots_in_use_may_exceed_those_allowed_after_a_throttling():
    words = words_of(page_of(replace(CALM, send_slots=1, send_slots_used=4)))

    assert "Send slots in use 4, from now on 1" in words


def test_a_check_that_fails_is_said_with_its_remedy():
    words = words_of(page_of(CALM, OK, (Probe("credentials", False, "expired; renew the role"),)))

    assert "Can it do its work? No 1 of 2 checks fails" in words
    assert "failed credentials expired; renew the role" in words


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


@needs_browser
async def test_in_a_browser_the_page_stays_current_without_being_rebuilt(face, tmp_path):
    face.grows = True

    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{face.port}/", width=1200)
        await tab.evaluate("window.first = document.querySelector('h1'); window.words = document.body.innerText; 0")
        await tab.until("document.body.innerText !== window.words")

        assert await tab.evaluate("document.querySelector('h1') === window.first"), "the same element, written anew"
        assert await tab.evaluate("/([\\d,]+) records read/.exec(document.body.innerText)[1]") != "1,001"
        assert tab.complaints == []


@needs_browser
async def test_in_a_browser_a_new_trouble_appears_and_goes(face, tmp_path):
    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{face.port}/", width=1200)

        face.change(gap_bytes=1 << 20, last_alerts=())
        await tab.until("document.title.includes('deleted before')")
        assert await tab.evaluate("document.querySelectorAll('.hero li').length") == 1
        assert await tab.evaluate("document.querySelector('#page').dataset.level") == "trouble"

        face.change(gap_bytes=0, last_alerts=CALM.last_alerts)
        await tab.until("document.title.includes('Nothing is lost')")
        assert await tab.evaluate("document.querySelectorAll('.hero li').length") == 0
        assert await tab.evaluate("document.querySelectorAll('.alerts li').length") == 1
        assert tab.complaints == []


@needs_browser
async def test_in_a_browser_an_agent_that_is_gone_is_said_to_be(tmp_path):
    face = Face()
    async with browser(tmp_path) as tab:
        async with face.serve(Http(host="127.0.0.1", port=0)) as face.port:
            await tab.open(f"http://127.0.0.1:{face.port}/", width=1200)
        await tab.until("document.documentElement.classList.contains('stale')")

        assert await tab.evaluate("document.getElementById('live').textContent") == "no answer"
        assert "Nothing is lost" in await tab.evaluate("document.body.innerText")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_in_a_browser_no_width_makes_the_page_scroll_sideways(face, tmp_path, scheme):
    face.change(
        node="n" * 200,
        gap_bytes=1,
        lanes=(LaneReport("routine", "s" * 200, 99_999_999, 86_000, 99_999_999),),
        last_alerts=(Alert(NOW, "Informational", "x" * 200, "y" * 200),),
        files=(FileReport("/z" * 200, "1", 2 << 40, 1 << 40, "deleted, held"),),
    )

    async with browser(tmp_path) as tab:
        for width in (320, 390, 768, 1200):
            await tab.open(f"http://127.0.0.1:{face.port}/", width=width, scheme=scheme)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


@needs_browser
async def test_in_a_browser_without_script_the_page_still_says_all_and_comes_anew(face, tmp_path):
    face.grows = True

    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{face.port}/", width=1200, script=False)

        assert await tab.evaluate("document.querySelector('noscript meta').httpEquiv") == "refresh"
        assert not await tab.evaluate("document.getElementById('live').checkVisibility()")
        assert "Nothing is lost" in await tab.evaluate("document.body.innerText")
