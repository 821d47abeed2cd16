"""Rules for the options of `[SERVICE]`."""

from __future__ import annotations

from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.rules.outcome import Outcome, Rules, becomes, fixed, is_on
from agent.migrate.variables import has_unknown

_LEVELS: Final = {
    "off": "error", "error": "error", "warn": "warning", "warning": "warning", "info": "info", "debug": "debug",
    "trace": "debug",
}  # fmt: skip
_DRAIN_SECONDS: Final = 30
"""The default of drain_seconds."""


def _grace(option: Option, _section: Section) -> Outcome:
    try:
        seconds = int(option.value)
    except ValueError:
        return Outcome("No setting: drain_seconds has 30 seconds.")
    lost = (
        f"At a stop Fluent Bit has {seconds} seconds to send what it holds, and what is in memory after that is lost. "
        "The pod's terminationGracePeriodSeconds must be longer, or kubelet kills it before."
    )
    if seconds <= _DRAIN_SECONDS:
        return Outcome(
            "No setting: drain_seconds has 30 seconds, and what is not sent stays in the log file.", lost=lost
        )
    return Outcome("Becomes drain_seconds.", (("drain_seconds", seconds),), lost=lost)


def _level(option: Option, _section: Section) -> Outcome:
    level = _LEVELS.get(option.value.lower())
    if level is None or level == "info":
        return Outcome("No setting: log.level is info.")
    if level == "error":
        return Outcome("No setting: log.level stays info, so that warnings are seen.")
    return becomes("log.level", level)


def _server(option: Option, _section: Section) -> Outcome:
    says = "No setting: metrics, health and a status page are always served, on http.port 9801."
    lost = (
        ""
        if is_on(option.value) or has_unknown(option.value)
        else "Without HTTP_Server there are no metrics, so nobody sees a loss."
    )
    return Outcome(says, lost=lost)


_DISK = fixed("No counterpart: the container's log file is the buffer on disk, so there is no second copy.")
_RETRY = fixed("No counterpart: each kind of error has a backoff of its own, and no retry is the last one.")

SERVICE: Final = Rules(
    by_key={
        "flush": fixed("No setting: cloudwatch.linger_seconds is 0.5, and urgent alerts do not wait."),
        "grace": _grace,
        "log_level": _level,
        "log_file": fixed("No counterpart: the agent writes its own log to stderr, as containers do."),
        "daemon": fixed("No counterpart: the agent runs in the foreground."),
        "parsers_file": fixed("No counterpart: the agent knows the formats of containerd, CRI-O, Docker and Falco."),
        "plugins_file": fixed("No counterpart: there are no plugins."),
        "streams_file": fixed(
            "No counterpart: there is no stream processor; CloudWatch Logs Insights can do the queries."
        ),
        "http_server": _server,
        "http_listen": fixed("No setting: http.host serves IPv4 and IPv6."),
        "http_port": fixed("No setting: http.port is 9801, to which the chart's probes and monitors point."),
        "health_check": fixed("No setting: /healthz and /readyz are always served."),
        "multiline_buffer_limit": fixed("No counterpart: tail.max_record_bytes bounds a joined record (1 MiB)."),
    },
    by_prefix={
        "hc_": fixed("No counterpart: /healthz fails when nothing moves, and /readyz names what is wrong."),
        "storage.": _DISK,
        "scheduler.": _RETRY,
        "dns.": fixed("No counterpart: the agent uses the resolver of the system, with IPv4 and IPv6."),
        "hot_reload": fixed("No counterpart: the chart restarts the agent when its configuration changes."),
        "telemetry.": fixed("No counterpart: docs/metrics.md lists the metrics."),
        "flush.": fixed("No counterpart: the size of a batch follows the load by itself."),
    },
    absent={
        "grace": "At a stop Fluent Bit has 5 seconds (the default of Grace) to send what it holds; the rest of its "
        "memory is lost.",
    },
)
