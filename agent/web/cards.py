"""The cards of the status page: losses, delay, sending, Falco's alerts, checks; and the table of log files."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.falco_state import FalcoState, FalcoView
from agent.core.priorities import SEVERITY
from agent.web.figures import ago, clock, count, duration, moment, plural, share, size
from agent.web.findings import Level, blindness, falco_hints, worst
from agent.web.markup import Child, Html, join, tag
from agent.web.parts import card, facts, meter, reasons, slug, stack, table
from agent.web.report import Alert, Books, FileReport, LaneReport, Probe, Report
from agent.web.verdict import LATE_SECONDS

MOST_FALCOS = 10
"""Rows in the list of Falcos; /status lists all."""

MOST_FILES = 40
"""Rows in the table of files; /status lists all files."""

_TONES = {FalcoState.READING: "ok", FalcoState.SILENT: "warning"}

_GOOD_OUTCOMES = frozenset({"accepted"})


def losses(report: Report) -> Html:
    books = report.books
    parts = (
        ("shipped", books.shipped, "accepted by CloudWatch"),
        ("filtered", books.filtered, reasons(report.filtered) or "left out by your settings"),
        ("rejected", books.rejected, reasons(report.dead_letters) or "kept as dead letters"),
        ("in flight", books.in_flight, "read, not yet acknowledged"),
    )
    lost = report.gap_bytes or report.gaps or not books.balanced
    return card(
        "Is anything lost?",
        "Yes" if lost else "No",
        f"{plural(books.read, 'record')} read" if books.balanced else f"{_unaccounted(books)}",
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
            ("Log deleted before it was read", size(report.gap_bytes) if report.gap_bytes else "none"),
            (
                "Progress saved",
                "not yet" if report.checkpoint_age_seconds is None else ago(report.checkpoint_age_seconds),
            ),
        ),
        kind="lost",
        tone=Level.TROUBLE if lost else Level.CALM,
    )


def _unaccounted(books: Books) -> str:
    missing = books.unaccounted
    return f"{plural(abs(missing), 'record')} {'not accounted for' if missing > 0 else 'counted twice'}"


def delay(report: Report) -> Html:
    return card(
        "How far behind is it?",
        duration(report.lag_seconds),
        f"{size(report.lag_bytes)} of log not yet acknowledged",
        table(
            ("Lane", "Waiting", "Oldest waits", "Shipped"),
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
        tone=_level_of(report.lanes, report.lag_seconds),
    )


def _level_of(lanes: Sequence[LaneReport], lag_seconds: float) -> Level:
    late = max([lag_seconds, *(lane.oldest_seconds for lane in lanes)])
    return Level.ATTENTION if late >= LATE_SECONDS else Level.CALM


def sending(report: Report) -> Html:
    other = {outcome: number for outcome, number in report.puts.items() if outcome not in _GOOD_OUTCOMES}
    accepted = sum(report.puts.values()) - sum(other.values())
    acknowledged = report.last_acknowledged_at
    return card(
        "What is slowing it?",
        "CloudWatch" if report.backpressure else "Nothing",
        "reading waits for CloudWatch" if report.backpressure else "reading does not wait",
        meter(
            "Memory budget in use",
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
            else f"{report.send_slots_used}; the limit is now {report.send_slots}",
        ),
        facts(
            ("Last acknowledgement", "never" if acknowledged is None else ago(report.now - acknowledged)),
            ("Requests accepted", count(accepted)),
            *((_outcome(outcome), count(number)) for outcome, number in other.items() if number),
            *(
                (("Requests throttled", count(report.throttled)),)
                if report.throttled and "throttled" not in other
                else ()
            ),
            ("Time spent waiting", duration(report.backpressure_seconds) if report.backpressure_seconds else "none"),
        ),
        kind="slow",
        tone=Level.ATTENTION if report.backpressure else Level.CALM,
    )


def _outcome(outcome: str) -> str:
    """An outcome of PutLogEvents as a line of the card. `missing` is the first request to a stream."""
    return "Streams created on first use" if outcome == "missing" else f"Requests {outcome.replace('_', ' ')}"


def alerts(report: Report) -> Html:
    falco, pods = report.falco, report.enrichment
    return card(
        "What does Falco report?",
        plural(sum(falco.alerts_by_priority.values()), "alert"),
        _last_output(report),
        _falcos(falco.view),
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
            ("Falco's version", ", ".join(falco.versions) or "not reported yet"),
            ("System calls that Falco missed", count(falco.syscall_drops)),
            ("Pod metadata", f"{plural(pods.pods, 'pod')} known" if pods.mode != "none" else "off"),
            *((("Alerts by pod lookup", reasons(pods.results)),) if any(pods.results.values()) else ()),
        ),
        kind="seen",
        tone=worst([*blindness(falco), *falco_hints(falco)]),
    )


def _falcos(view: FalcoView | None) -> Html:
    """Each Falco on this node and its state, the worst first."""
    if view is None:
        return tag("p", "The agent has not looked for Falco yet.", class_="quiet")
    if view.unlistable:
        return tag("p", "Unknown: the log files cannot be listed.", class_="quiet")
    if not view.pods:
        return tag("p", "No Falco was found on this node.", class_="quiet")
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag("span", pod.state.value, class_=f"probe {_TONES.get(pod.state, 'failed')}"),
                tag("b", pod.name),
                tag("span", pod.version, class_="quiet"),
            )
            for pod in view.pods[:MOST_FALCOS]
        ),
        class_="probes falcos",
    )


def _urgency(of: tuple[str, int]) -> tuple[int, str]:
    return SEVERITY.get(of[0].lower(), len(SEVERITY)), of[0]


def _last_output(report: Report) -> str:
    """The silence is measured every few seconds. An alert that was read since then is newer."""
    if report.falco.silent_seconds is None:
        return "no output yet"
    newest = max((alert.time for alert in report.last_alerts), default=0.0)
    return f"last output {ago(min(report.falco.silent_seconds, max(0.0, report.now - newest)))}"


def _alert(alert: Alert, now: float) -> Html:
    return tag(
        "li",
        tag("span", alert.priority, class_=f"priority {slug(alert.priority)}"),
        tag("span", tag("b", alert.rule), tag("small", alert.pod) if alert.pod else None, class_="rule"),
        tag(
            "time",
            f"{clock(alert.time)}, {ago(now - alert.time)}",
            datetime=moment(alert.time),
            title=moment(alert.time),
        ),
    )


def files(report: Report) -> Html:
    most_behind_first = sorted(report.files, key=lambda file: (-file.behind, file.path))
    shown = most_behind_first[:MOST_FILES]
    return tag(
        "section",
        tag("h2", "Log files ", tag("small", count(len(report.files)))),
        table(
            ("File", "Size", "Acknowledged", "Remaining", "State"),
            [_file_row(file) for file in shown],
            wide=0,
        )
        if shown
        else tag("p", "No log file of Falco was found yet.", class_="quiet"),
        tag("p", f"{count(len(report.files) - len(shown))} more files are listed in /status.", class_="quiet")
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
    # The same probe may be in both lists.
    probes = list(dict.fromkeys([*health, *readiness]))
    failed = sum(not probe.ok for probe in probes)
    return card(
        "Do all checks pass?",
        "No" if failed else "Yes",
        f"{failed} of {plural(len(probes), 'check')} failed" if failed else plural(len(probes), "check"),
        tag(
            "ul",
            *(
                tag(
                    "li",
                    tag("span", _outcome_of(probe), class_=f"probe {_outcome_of(probe)}"),
                    tag("b", probe.name),
                    tag("span", probe.detail, class_="quiet"),
                )
                for probe in probes
            ),
            class_="probes",
        ),
        kind="checks",
        tone=_level_of_checks(probes),
    )


def _outcome_of(probe: Probe) -> str:
    if probe.ok:
        return "ok"
    return "failed" if probe.required else "warning"


def _level_of_checks(probes: Sequence[Probe]) -> Level:
    if any(not probe.ok and probe.required for probe in probes):
        return Level.TROUBLE
    return Level.CALM if all(probe.ok for probe in probes) else Level.ATTENTION
