"""The status page, which answers an operator's questions about this agent.

Is anything lost? How far behind is it? What is slowing it? What does Falco report? Do all checks pass?
The page is one document without external resources. The Content-Security-Policy allows its inline style and script by
their digests and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from urllib.parse import quote

from agent.web.cards import alerts, checks, delay, files, losses, sending
from agent.web.figures import duration, moment
from agent.web.markup import Html, join, tag
from agent.web.report import Probe, Report
from agent.web.verdict import Finding, Level, Verdict, judge

_STYLE = resources.files("agent.web").joinpath("page.css").read_text(encoding="utf-8")
_SCRIPT = resources.files("agent.web").joinpath("page.js").read_text(encoding="utf-8")


def _digest(inline: str) -> str:
    return f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_digest(_STYLE)}",
        f"script-src {_digest(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_COLOURS = {Level.CALM: "#1a7f4b", Level.ATTENTION: "#b7791f", Level.TROUBLE: "#c62f2f"}
_MARKS = {
    Level.CALM: "M7 12.5l3.4 3.4L17 9",
    Level.ATTENTION: "M12 6.5v7M12 17v.1",
    Level.TROUBLE: "M8 8l8 8M16 8l-8 8",
}


def render(report: Report, health: Sequence[Probe], readiness: Sequence[Probe]) -> str:
    """The whole document."""
    verdict = judge(report, [*health, *readiness])
    return "<!doctype html>\n" + tag(
        "html",
        _head(report, verdict),
        tag(
            "body",
            tag("div", _header(report), _hero(verdict), _cards(report, health, readiness), files(report),
                _footer(report), id="page", data_level=verdict.level.value),
        ),
        lang="en",
    )  # fmt: skip


def _head(report: Report, verdict: Verdict) -> Html:
    icon = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="11" '
        f'fill="{_COLOURS[verdict.level]}"/><path d="{_MARKS[verdict.level]}" fill="none" stroke="#fff" '
        f'stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"{report.node}: {verdict.headline} · Falcowatch"),
        tag("link", id="icon", rel="icon", href=f"data:image/svg+xml,{quote(icon)}"),
        # Without script the browser reloads the page; with it the script replaces only the parts that changed.
        tag("noscript", tag("meta", http_equiv="refresh", content="5")),
        tag("style", Html(_STYLE)),
        tag("script", Html(_SCRIPT), type="module"),
    )


def _header(report: Report) -> Html:
    where = [tag("b", report.node)]
    if report.cluster:
        where.append(join("cluster ", tag("b", report.cluster)))
    where.append(join("to ", tag("b", report.group)))
    return tag(
        "header",
        tag("p", tag("span", "Falcowatch", class_="name"), tag("span", report.version, class_="quiet")),
        tag("p", *(tag("span", part) for part in where), class_="where"),
        tag(
            "p",
            tag("span", "live", id="live", class_="live"),
            tag("span", f"up {duration(report.uptime_seconds)}"),
            class_="quiet since",
        ),
    )


def _hero(verdict: Verdict) -> Html:
    return tag(
        "section",
        Html(
            f'<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="12"></circle>'
            f'<path d="{_MARKS[verdict.level]}"></path></svg>'
        ),
        tag("div", tag("h1", verdict.headline, ".", aria_live="polite"), tag("p", verdict.explanation), class_="words"),
        tag("ul", *map(_finding, verdict.findings)) if verdict.findings else None,
        class_="hero",
    )


def _finding(finding: Finding) -> Html:
    return tag("li", tag("b", finding.what), " ", tag("span", finding.remedy), class_=finding.level.value)


def _cards(report: Report, health: Sequence[Probe], readiness: Sequence[Probe]) -> Html:
    return tag(
        "main",
        tag("div", losses(report), sending(report), checks(health, readiness), class_="column"),
        tag("div", delay(report), alerts(report), class_="column"),
    )


def _footer(report: Report) -> Html:
    links = (("metrics", "metrics"), ("status", "status as JSON"), ("healthz", "health"), ("readyz", "readiness"))
    return tag(
        "footer",
        tag("nav", *(tag("a", name, href=path) for path, name in links)),
        tag("p", "As of ", tag("time", moment(report.now), id="as-of", datetime=moment(report.now))),
    )
