"""What an alert of Falco says, as far as the path needs it.

Decoding is typed and partial: time, priority, rule, source and the pod; the rest of the line is
validated as JSON and skipped. The line itself is never rebuilt from what was decoded.
Facts: Falco 0.40 to 0.44 write one compact object a line, `time` always with nine decimals in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from agent.core.values import PodKey

PRIORITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
"""Most urgent first."""


SEVERITY: Final = {name: rank for rank, name in enumerate(PRIORITIES)} | {"info": 6}


DROP_NOTICE: Final = "Falco internal: syscall event drop"


METRICS_SNAPSHOT: Final = "Falco internal: metrics snapshot"


class OutputFields(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """The part of `output_fields` that names a pod; hashable, since many alerts say the same."""

    # In Falco's order, as below: the decoder looks for the next field first.
    container_id: str | None = msgspec.field(name="container.id", default=None)
    namespace: str | None = msgspec.field(name="k8s.ns.name", default=None)
    pod: str | None = msgspec.field(name="k8s.pod.name", default=None)
    uid: str | None = msgspec.field(name="k8s.pod.uid", default=None)

    def key(self) -> PodKey:
        """`<NA>` and the empty string are Falco's words for unknown."""
        return PodKey(_known(self.namespace), _known(self.pod), _known(self.uid), _known(self.container_id))


class Alert(msgspec.Struct, gc=False, kw_only=True):
    """One alert. Everything but rule and priority is missing where Falco was told to leave it out."""

    output_fields: OutputFields | None = None
    priority: str
    rule: str
    source: str = ""
    time: str = ""
    kubernetes: msgspec.Raw | None = None
    """An alert may have a top-level key of this name already; then ours goes under another."""
    falcowatch: msgspec.Raw | None = None


class Notice(msgspec.Struct, gc=False):
    """A message of Falco about itself, whole."""

    rule: str
    output_fields: dict[str, int | float | str | bool | None] = {}


NotAnAlert = msgspec.MsgspecError
"""What `decode_alert` raises for a line that is no alert: other JSON, text, a cut line."""


_decode_strictly = msgspec.json.Decoder(Alert).decode


decode_notice = msgspec.json.Decoder(Notice).decode


decode_alert = _decode_strictly
"""Raises NotAnAlert; a caller that gets WrongType asks `decode_leniently` before it gives up."""


WrongType = msgspec.ValidationError


NO_ALERT: Final = Alert(rule="", priority="")
"""Stands for a line that is none, among those that are."""


def decode_alerts(payloads: Sequence[bytes]) -> list[Alert]:
    """All of them; NO_ALERT for what is none, or none of the usual types."""
    try:
        return [*map(decode_alert, payloads)]
    except (NotAnAlert, ValueError, RecursionError):
        return [_decoded_or_not(payload) for payload in payloads]


def _decoded_or_not(payload: bytes) -> Alert:
    try:
        return decode_alert(payload)
    except (NotAnAlert, ValueError, RecursionError):
        return NO_ALERT


def decode_leniently(payload: bytes) -> Alert:
    """The same for an alert in which a rule printed a pod field as something else than text."""
    try:
        whole = msgspec.json.decode(payload)
    except RecursionError as error:
        raise NotAnAlert("brackets are nested too deeply") from error
    if (
        not isinstance(whole, dict)
        or not isinstance(whole.get("rule"), str)
        or not isinstance(whole.get("priority"), str)
    ):
        raise NotAnAlert("an alert has a rule and a priority")
    fields = whole.get("output_fields")
    return Alert(
        rule=whole["rule"],
        priority=whole["priority"],
        time=_text(whole.get("time")) or "",
        source=_text(whole.get("source")) or "",
        output_fields=OutputFields(
            container_id=_text(fields.get("container.id")),
            namespace=_text(fields.get("k8s.ns.name")),
            pod=_text(fields.get("k8s.pod.name")),
            uid=_text(fields.get("k8s.pod.uid")),
        )
        if isinstance(fields, dict)
        else None,
        kubernetes=msgspec.Raw(b"1") if "kubernetes" in whole else None,
        falcowatch=msgspec.Raw(b"1") if "falcowatch" in whole else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _known(value: str | None) -> str | None:
    return None if value in ("", "<NA>") else value
