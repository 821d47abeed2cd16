"""The page's answers: what is lost, how far behind, who slows us, what Falco sees, can it work; and the files."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.priorities import SEVERITY
from agent.web.figures import ago, count, duration, moment, plural, share, size
from agent.web.markup import Child, Html, join, tag
from agent.web.parts import card, facts, meter, reasons, slug, stack, table
from agent.web.report import Alert, FileReport, LaneReport, Probe, Report
from agent.web.verdict import LATE_SECONDS, Level

MOST_FILES = 40

_GOOD_OUTCOMES = frozenset({"accepted"})


def lost(report: Report) -> Html:
    books = report.books
    parts = (
        ("shipped", books.shipped, "accepted by CloudWatch"),
        ("filtered", books.filtered, reasons(report.filtered) or "by your own rules"),
        ("rejected", books.rejected, reasons(report.dead_letters) or "kept as dead letters"),
        ("in flight", books.in_flight, "read, not yet settled"),
    )
    lost = report.gap_bytes or report.gaps or not books.balanced
    return card(
        "Is anything lost?",
        "Yes" if lost else "No",
        f"{plural(books.read, 'record')} read" if books.balanced else f"{count(books.unaccounted)} unaccounted for",
        stack([(name, number) for name, number, _ in parts], books.read),
        tag(
            "dl",
            *(
                tag(
                    "div",
                    tag("dt", tag("i", class_=f"key {slug(name)}"), name, tag("small", meaning)),
                    tag("dd", count(number), tag("small", share(number, books.read))),
                )
                for name, number, meaning in parts
            ),
        ),
        facts(
            ("Gaps in the log", size(report.gap_bytes) if report.gap_bytes else "none"),
            (
                "Progress saved",
                "not yet" if report.checkpoint_age_seconds is None else ago(report.checkpoint_age_seconds),
            ),
        ),
        kind="lost",
        tone=Level.TROUBLE if lost else Level.CALM,
    )


def behind(report: Report) -> Html:
    return card(
        "How far behind?",
        duration(report.lag_seconds),
        f"{size(report.lag_bytes)} not settled",
        table(
            ("Lane", "PendingSpans", "Oldest", "Shipped"),
            [
                (
                    join(tag("b", lane.name), tag("small", lane.stream)),
                    count(lane.waiting),
                    duration(lane.oldest_seconds) if lane.waiting or lane.oldest_seconds else "–",
                    count(lane.shipped),
                )
                for lane in report.lanes
            ],
            wide=0,
        )
        if report.lanes
        else None,
        kind="behind",
        tone=_tone_of(report.lanes, report.lag_seconds),
    )


def _tone_of(lanes: Sequence[LaneReport], lag_seconds: float) -> Level:
    late = max([lag_seconds, *(lane.oldest_seconds for lane in lanes)])
    return Level.ATTENTION if late >= LATE_SECONDS else Level.CALM


def slow(report: Report) -> Html:
    bad = {outcome: number for outcome, number in report.puts.items() if outcome not in _GOOD_OUTCOMES}
    good = sum(report.puts.values()) - sum(bad.values())
    acknowledged = report.last_acknowledged_at
    return card(
        "Who slows us?",
        "CloudWatch" if report.backpressure else "Nobody",
        "reading waits for the budget" if report.backpressure else "reading runs freely",
        meter(
            "Budget in use",
            report.budget_used_bytes,
            report.budget_bytes,
            f"{size(report.budget_used_bytes)} of {size(report.budget_bytes)}",
        ),
        meter(
            "Send slots in use",
            report.send_slots_used,
            report.send_slots,
            f"{report.send_slots_used} of {report.send_slots}"
            if report.send_slots_used <= report.send_slots
            else f"{report.send_slots_used}, from now on {report.send_slots}",
        ),
        facts(
            ("Last acknowledged", "never" if acknowledged is None else ago(report.now - acknowledged)),
            ("Puts accepted", count(good)),
            *((f"Puts {outcome.replace('_', ' ')}", count(number)) for outcome, number in bad.items() if number),
            *((("Throttled", count(report.throttled)),) if report.throttled and "throttled" not in bad else ()),
            ("Reading has waited", duration(report.backpressure_seconds) if report.backpressure_seconds else "never"),
        ),
        kind="slow",
        tone=Level.ATTENTION if report.backpressure else Level.CALM,
    )


def seen(report: Report) -> Html:
    falco, pods = report.falco, report.enrichment
    heard = "not heard yet" if falco.silent_seconds is None else f"wrote {ago(falco.silent_seconds)}"
    known = f"{plural(pods.pods, 'pod')} known" if pods.mode != "none" else "off"
    return card(
        "What does Falco see?",
        plural(sum(falco.alerts_by_priority.values()), "alert"),
        heard,
        tag(
            "ul",
            *(
                tag("li", tag("span", priority, class_=f"priority {slug(priority)}"), count(number))
                for priority, number in sorted(falco.alerts_by_priority.items(), key=_urgency)
                if number
            ),
            class_="priorities",
        ),
        tag("ol", *(_alert(alert, report.now) for alert in report.last_alerts), class_="alerts")
        if report.last_alerts
        else tag("p", "No alert yet.", class_="quiet"),
        facts(
            ("Falco", ", ".join(falco.versions) or "version not announced"),
            ("System calls it missed", count(falco.syscall_drops)),
            ("Pod metadata", known),
            *((("Alerts by their pod", reasons(pods.results)),) if any(pods.results.values()) else ()),
        ),
        kind="seen",
        tone=Level.ATTENTION if falco.silent or falco.syscall_drops else Level.CALM,
    )


def _urgency(of: tuple[str, int]) -> tuple[int, str]:
    return SEVERITY.get(of[0].lower(), len(SEVERITY)), of[0]


def _alert(alert: Alert, now: float) -> Html:
    return tag(
        "li",
        tag("span", alert.priority, class_=f"priority {slug(alert.priority)}"),
        tag("span", tag("b", alert.rule), tag("small", alert.pod) if alert.pod else None, class_="rule"),
        tag("time", ago(now - alert.time), datetime=moment(alert.time), title=moment(alert.time)),
    )


def files(report: Report) -> Html:
    most_behind_first = sorted(report.files, key=lambda file: (-file.behind, file.path))
    shown = most_behind_first[:MOST_FILES]
    return tag(
        "section",
        tag("h2", "Files ", tag("small", count(len(report.files)))),
        table(
            ("File", "Size", "Committed", "Behind", "State"),
            [_file_row(file) for file in shown],
            wide=0,
        )
        if shown
        else tag("p", "No log file of Falco found yet.", class_="quiet"),
        tag("p", f"and {count(len(report.files) - len(shown))} more, in /status", class_="quiet")
        if len(report.files) > len(shown)
        else None,
        class_="plain",
    )


def _file_row(file: FileReport) -> tuple[Child, ...]:
    folder, slash, name = file.path.rpartition("/")
    return (
        tag("span", tag("small", folder, slash), tag("wbr"), tag("b", name), title=file.id, class_="path"),
        size(file.size),
        share(file.committed, file.size) if file.size else "–",
        size(file.behind) if file.behind else "0",
        file.state,
    )


def checks(health: Sequence[Probe], readiness: Sequence[Probe]) -> Html:
    # The same probe may stand in both lists.
    probes = list(dict.fromkeys([*health, *readiness]))
    failed = sum(not probe.ok for probe in probes)
    return card(
        "Can it do its work?",
        "No" if failed else "Yes",
        f"{failed} of {plural(len(probes), 'check')} fails" if failed else f"{plural(len(probes), 'check')}, all hold",
        tag(
            "ul",
            *(
                tag(
                    "li",
                    tag("span", "ok" if probe.ok else "failed", class_=f"probe {'ok' if probe.ok else 'failed'}"),
                    tag("b", probe.name),
                    tag("span", probe.detail, class_="quiet"),
                )
                for probe in probes
            ),
            class_="probes",
        ),
        kind="checks",
        tone=Level.TROUBLE if failed else Level.CALM,
    )
