"""The text of docs/events.md: events.md.in, and every event that the agent writes itself.

The events are described here; a test compares the descriptions with the events that the code publishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TEMPLATE = Path(__file__).with_name("events.md.in")


@dataclass(frozen=True, slots=True)
class EventPage:
    """One own event of the agent."""

    kind: str
    """The event's rule is `Falcowatch: <kind>`."""
    priority: str
    stream: str
    when: str
    fields: Mapping[str, str]
    """Meaning by key of `output_fields`."""


URGENT: Final = "`<node>/urgent`"
ROUTINE: Final = "`<node>`"
ANY: Final = "the stream that is asked"

FALCO_FIELDS: Final = {
    "falco.pod": "namespace and name of Falco's pod, or the path of its log",
    "falco.state": "`silent`, `restarted`, `vanished`, `replaced`, `moved` or `back`",
    "falco.silent_seconds": "how long Falco had written nothing",
    "falco.last_wrote": "when Falco last wrote",
    "falco.found_at_start": "`true`: the agent found this state when it started; otherwise absent",
}
NODE_FIELDS: Final = {
    "falco.state": "`reading`, `text`, `silent`, `elsewhere` or `none`: see [falco-state.md](falco-state.md)",
    "falco.pods": "the first Falcos of the node",
    "falco.pod_count": "the number of Falcos on the node",
    "falco.blind_seconds": "how long the node has been, or was, blind",
}
SUCCESSOR: Final = {"falco.successor": "the pod that took its place"}

EVENTS: Final = (
    EventPage(
        "heartbeat",
        "Informational",
        ROUTINE,
        "when the agent starts, every `heartbeat_seconds`, after 100,000 records or 64 MiB, and when the agent stops; "
        "see [proof.md](proof.md#seals)",
        {
            "books.read": "records read since the start of the agent",
            "books.shipped": "records that CloudWatch acknowledged",
            "books.filtered": "records settled by a rule of the configuration",
            "books.rejected": "records that CloudWatch rejected and that are kept as dead letters",
            "books.in_flight": "records read and not yet settled",
            "gap.count": "gaps since the start",
            "gap.bytes": "bytes lost in these gaps",
            "heartbeat.sequence": "1 for the first heartbeat of this run of the agent",
            "heartbeat.seconds": "the setting `heartbeat_seconds`",
            "falcowatch.version": "the version of the agent",
            "lag.bytes": "bytes written to log files and not yet acknowledged",
            "lag.seconds": "age of the oldest record that is unread or not acknowledged",
            "unacknowledged.seconds": "age of the oldest record that was read and not acknowledged",
            "falco.syscall_drops": "system calls that Falco reports as missed, since the start of the agent",
            "warnings": "names of the failed checks of `/readyz`; absent while there are none",
            "falco.state": "state of Falco on the node: see [falco-state.md](falco-state.md)",
            "falco.pods": "the first Falcos of the node, each with its state",
            "falco.pod_count": "the number of Falcos on the node",
            "falco.versions": "the versions of these Falcos, as far as they are known",
            "defects.<part>": "unforeseen exceptions of this part; absent when there was none",
        },
    ),
    EventPage(
        "gap",
        "Critical",
        URGENT,
        "bytes were lost before the agent could read them",
        {
            "file": "identity of the log file, as in `falcowatch.id`",
            "path": "path of the log file when it was last seen",
            "from": "first lost byte",
            "to": "byte after the last lost one",
            "bytes": "number of lost bytes",
            "why": "how they were lost",
            "at_least": "`true`: more bytes may have been lost",
        },
    ),
    EventPage(
        "dead letter lost",
        "Critical",
        URGENT,
        "CloudWatch rejected a record, and neither disk nor memory could keep it",
        {
            "id": "the record's id",
            "reason": "why it was rejected",
            "bytes": "its size",
            "sha256": "digest of its text",
            "text": "the beginning of its text",
        },
    ),
    EventPage(
        "Falco is silent",
        "Critical",
        URGENT,
        "a Falco has written nothing for `falco.silent_seconds`, or its pod never wrote a log",
        FALCO_FIELDS,
    ),
    EventPage(
        "Falco is not read",
        "Critical",
        URGENT,
        "for `falco.missing_seconds` the node was blind: there was no Falco, or it was not selected or could not be "
        "opened, or it printed text, or the log root could not be listed",
        NODE_FIELDS,
    ),
    EventPage("Falco is read", "Notice", URGENT, "the node is not blind any more", NODE_FIELDS),
    EventPage(
        "Falco restarted",
        "Critical",
        URGENT,
        "Falco's container was restarted, also while the agent was not running",
        FALCO_FIELDS,
    ),
    EventPage(
        "Falco vanished",
        "Critical",
        URGENT,
        "Falco's pod is gone, and no pod of the same owner replaced it within three minutes",
        FALCO_FIELDS,
    ),
    EventPage(
        "Falco moved",
        "Notice",
        ROUTINE,
        "Falco's pod is gone, and its owner, such as a Deployment, may run the next pod on another node",
        FALCO_FIELDS,
    ),
    EventPage(
        "Falco was replaced",
        "Notice",
        ROUTINE,
        "another pod of the same owner replaced Falco's pod, as in an upgrade",
        FALCO_FIELDS | SUCCESSOR,
    ),
    EventPage(
        "Falco is back",
        "Notice",
        URGENT,
        "Falco writes again after it was silent or had vanished",
        FALCO_FIELDS | SUCCESSOR,
    ),
    EventPage(
        "enrichment down",
        "Critical",
        URGENT,
        "for 10 minutes the agent could not read pods from the API server; the text names the reason",
        {"enrichment.down_seconds": "for how long pods could not be read"},
    ),
    EventPage(
        "enrichment up",
        "Notice",
        URGENT,
        "pods can be read again",
        {"enrichment.down_seconds": "for how long pods could not be read"},
    ),
    EventPage(
        "storm",
        "that of the alerts",
        ROUTINE,
        "`falco.storm_limit` grouped identical alerts of one minute",
        {
            "storm.rule": "rule of the alerts",
            "storm.source": "source of the alerts",
            "storm.count": "number of alerts in the group",
            "storm.first": "time of the first one",
            "storm.last": "time of the last one",
            "storm.ids": "ids of up to 20 of them",
            "<key>": "each of `falco.storm_keys`, with the value that the alerts have in common",
        },
    ),
    EventPage(
        "control",
        "Debug",
        ANY,
        "the agent asks whether a stream accepts events: the stream has refused an event as invalid, or it is idle "
        "while another stream accepts nothing",
        {},
    ),
)


def events() -> str:
    lines = ["| `rule` | priority | stream | when |", "|---|---|---|---|"]
    lines += [f"| [`{_rule(one)}`](#{_anchor(one)}) | {one.priority} | {one.stream} | {one.when} |" for one in EVENTS]
    for one in EVENTS:
        lines += ["", f"### {_rule(one)}", "", f"{one.when[0].upper()}{one.when[1:]}."]
        if one.fields:
            lines += ["", "| key of `output_fields` | meaning |", "|---|---|"]
            lines += [f"| `{key}` | {meaning} |" for key, meaning in one.fields.items()]
    return TEMPLATE.read_text(encoding="utf-8").replace("{{events}}", "\n".join(lines))


def _rule(page: EventPage) -> str:
    return f"Falcowatch: {page.kind}"


def _anchor(page: EventPage) -> str:
    return _rule(page).lower().replace(":", "").replace(" ", "-")
