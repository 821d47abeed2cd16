"""The status page: its words, that no text becomes markup, and how a real browser shows it."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from agent.core.falco_state import FoundFalco, NodeFalco
from agent.settings import Http
from agent.web import Alert, Books, Falco, FileReport, LaneReport, Probe
from agent.web.page import render
from tests.web.browser import CHROMIUM, browser
from tests.web.conftest import CALM, NOW, OK, READY, ServedPages

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


def test_the_page_of_a_healthy_agent_answers_the_questions():
    words = words_of(page_of())

    assert "Nothing is lost. 1,000 records read, 96.0 % shipped, 30 in flight. Every record is accounted for." in words
    assert "Is anything lost? No" in words
    assert "How far behind is it? 0.3 s 2.0 KiB of log not yet acknowledged" in words
    assert "What is slowing it? Nothing" in words
    assert "What does Falco report? 1 alert last output 2.0 s ago" in words


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
        last_alerts=(Alert(NOW, HOSTILE, HOSTILE),),
        falco=Falco(1.0, versions=(HOSTILE,), alerts_by_priority={HOSTILE: 1}),
    )
    probes = (Probe(HOSTILE, False, HOSTILE),)

    hostile, calm = page_of(report, probes, probes), page_of()

    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in calm.tags} | {"ul", "li"}
    assert [tag for tag, _ in hostile.tags].count("script") == 1
    assert not [name for _, attributes in hostile.tags for name in attributes if name.startswith("on")]
    assert words_of(hostile).count("onerror=alert(1)") >= 14


def test_the_page_loads_no_external_resource():
    for tag, attributes in page_of().tags:
        assert "style" not in attributes, "the policy allows no inline style"
        if source := attributes.get("src") or (attributes.get("href") if tag != "a" else None):
            assert source.startswith("data:")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", render(CALM, OK, READY).replace("%3A", ":"))


def test_without_script_the_page_reloads_itself():
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in render(CALM, OK, READY)


def test_priorities_are_sorted_by_urgency_with_unknown_ones_last():
    falco = Falco(alerts_by_priority={"Notice": 3, "Odd": 1, "Critical": 2, "Informational": 4, "Error": 0})

    words = words_of(page_of(replace(CALM, falco=falco)))

    assert "Critical 2 Notice 3 Informational 4 Odd 1" in words


def test_an_alert_that_was_read_after_the_silence_was_measured_is_the_last_output():
    report = replace(CALM, falco=Falco(4.0), last_alerts=(Alert(NOW - 0.5, "Notice", "rule"),))

    assert "last output just now" in words_of(page_of(report))


def test_more_send_slots_can_be_in_use_than_allowed_after_throttling():
    words = words_of(page_of(replace(CALM, send_slots=1, send_slots_used=4)))

    assert "Send slots in use 4; the limit is now 1" in words


def test_a_failed_check_is_shown_with_its_remedy():
    words = words_of(page_of(CALM, OK, (Probe("credentials", False, "expired; renew the role"),)))

    assert "Do all checks pass? No 1 of 2 checks failed" in words
    assert "failed credentials expired; renew the role" in words


def test_the_page_says_that_no_record_was_read_yet():
    empty = replace(
        CALM, books=Books(0, 0, 0, 0, 0), lanes=(), files=(), last_alerts=(), falco=Falco(), last_acknowledged_at=None
    )

    words = words_of(page_of(empty))

    assert "No record has been read yet." in words
    assert "No log file of Falco was found yet." in words
    assert "No alert yet." in words
    assert "Last acknowledgement never" in words


def test_of_many_files_the_page_shows_those_with_most_unacknowledged_bytes():
    many = tuple(FileReport(f"/logs/{number}.log", str(number), 1_000, number) for number in range(100))

    words = words_of(page_of(replace(CALM, files=many)))

    assert "Log files 100" in words
    assert "/logs/ 0.log" in words
    assert "/logs/ 99.log" not in words
    assert "60 more files are listed in /status." in words


def test_a_probe_in_both_lists_is_shown_once():
    words = words_of(page_of(CALM, OK, (*OK, *READY)))

    assert words.count("the event loop answers") == 1


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian package chromium)")


@needs_browser
async def test_in_a_browser_the_page_is_updated_in_place(pages, tmp_path):
    pages.grows = True

    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{pages.port}/", width=1200)
        await tab.evaluate("window.first = document.querySelector('h1'); window.words = document.body.innerText; 0")
        await tab.until("document.body.innerText !== window.words")

        assert await tab.evaluate("document.querySelector('h1') === window.first"), "the same element, written anew"
        assert await tab.evaluate("/([\\d,]+) records read/.exec(document.body.innerText)[1]") != "1,001"
        assert tab.complaints == []


@needs_browser
async def test_in_a_browser_a_new_finding_appears_and_disappears(pages, tmp_path):
    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{pages.port}/", width=1200)

        pages.change(gap_bytes=1 << 20, last_alerts=())
        await tab.until("document.title.includes('Log data was lost')")
        assert await tab.evaluate("document.querySelectorAll('.hero li').length") == 1
        assert await tab.evaluate("document.querySelector('#page').dataset.level") == "trouble"

        pages.change(gap_bytes=0, last_alerts=CALM.last_alerts)
        await tab.until("document.title.includes('Nothing is lost')")
        assert await tab.evaluate("document.querySelectorAll('.hero li').length") == 0
        assert await tab.evaluate("document.querySelectorAll('.alerts li').length") == 1
        assert tab.complaints == []


@needs_browser
async def test_in_a_browser_the_page_says_that_the_agent_does_not_answer(tmp_path):
    pages = ServedPages()
    async with browser(tmp_path) as tab:
        async with pages.serve(Http(host="127.0.0.1", port=0)) as pages.port:
            await tab.open(f"http://127.0.0.1:{pages.port}/", width=1200)
        await tab.until("document.documentElement.classList.contains('stale')")

        assert await tab.evaluate("document.getElementById('live').textContent") == "no answer"
        assert "Nothing is lost" in await tab.evaluate("document.body.innerText")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_in_a_browser_no_width_makes_the_page_scroll_sideways(pages, tmp_path, scheme):
    pages.change(
        node="n" * 200,
        gap_bytes=1,
        lanes=(LaneReport("routine", "s" * 200, 99_999_999, 86_000, 99_999_999),),
        last_alerts=(Alert(NOW, "Informational", "x" * 200),),
        files=(FileReport("/z" * 200, "1", 2 << 40, 1 << 40, "deleted, held"),),
    )

    async with browser(tmp_path) as tab:
        for width in (320, 390, 768, 1200):
            await tab.open(f"http://127.0.0.1:{pages.port}/", width=width, scheme=scheme)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


@needs_browser
async def test_in_a_browser_without_script_the_page_is_complete_and_reloads(pages, tmp_path):
    pages.grows = True

    async with browser(tmp_path) as tab:
        await tab.open(f"http://127.0.0.1:{pages.port}/", width=1200, script=False)

        assert await tab.evaluate("document.querySelector('noscript meta').httpEquiv") == "refresh"
        assert not await tab.evaluate("document.getElementById('live').checkVisibility()")
        assert "Nothing is lost" in await tab.evaluate("document.body.innerText")


async def test_recent_alerts_show_their_pod_and_their_time(pages):
    pages.change(last_alerts=(Alert(NOW - 75, "Error", "Mkdir binary dirs", "shop/web-1"),))

    page = await pages.text("/")

    assert "<small>shop/web-1</small>" in page
    assert ">07:31:01Z, 1 min 15 s ago</time>" in page


async def test_each_falco_is_listed_with_its_state_and_version(pages):
    node = NodeFalco(900, 300)
    read = FoundFalco("falco/falco-x2x9t", 1000.0, version="0.44.1")
    node.look([read, FoundFalco("default/falco-b4c5d", 1000.0, to_read="tail.namespace = default")], 1000.0)
    pages.change(falco=Falco(view=node.view))

    page = await pages.text("/")

    assert page.index("default/falco-b4c5d") < page.index("falco/falco-x2x9t</b>")
    assert '<span class="probe failed">elsewhere</span>' in page
    assert '<span class="probe ok">reading</span>' in page


def test_where_the_logs_cannot_be_listed_the_page_does_not_claim_that_there_is_no_falco():
    node = NodeFalco(900, 300)
    node.look([], 1000.0, unlistable="/var/log/pods: cannot be listed")

    words = words_of(page_of(replace(CALM, falco=Falco(view=node.view))))

    assert "Unknown: the log files cannot be listed." in words
    assert "No Falco" not in words


def test_the_first_request_to_a_stream_is_no_missing_request():
    words = words_of(page_of(replace(CALM, puts={"accepted": 3, "missing": 2})))

    assert "Streams created on first use 2" in words
    assert "missing" not in words
