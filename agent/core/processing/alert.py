"""The parts of a Falco alert that the agent reads.

Decoding is typed and partial: time, priority, rule, source and the pod. The decoder checks that the rest of the line
is JSON and skips it. The line itself is never encoded again.

The strict decoder accepts only the keys and sources that Falco writes. So an alert that it accepts cannot hold a key
or a source that is reserved for the agent, in no spelling and not beside another one. All other alerts need
`decode_leniently`, and `reserved` looks for reserved keys in them.
Falco 0.40 to 0.44 write one compact JSON object on a line; `time` always has nine decimals and is in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast

import msgspec

from agent.core.values import PodKey

DROP_NOTICE: Final = "Falco internal: syscall event drop"

METRICS_SNAPSHOT: Final = "Falco internal: metrics snapshot"


class OutputFields(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """The fields of `output_fields` that name a pod. Hashable, because many alerts have the same values."""

    # In the order in which Falco writes the keys: the decoder tries the next field first. Likewise in Alert.
    container_id: str | None = msgspec.field(name="container.id", default=None)
    namespace: str | None = msgspec.field(name="k8s.ns.name", default=None)
    pod: str | None = msgspec.field(name="k8s.pod.name", default=None)
    uid: str | None = msgspec.field(name="k8s.pod.uid", default=None)

    def key(self) -> PodKey:
        """Falco writes `<NA>` or an empty string for an unknown value."""
        return PodKey(_known(self.namespace), _known(self.pod), _known(self.uid), _known(self.container_id))


UsualSource = Literal[
    "", "syscall", "internal", "k8s_audit", "aws_cloudtrail", "gcp_auditlog", "github", "gitlab", "okta", "docker",
    "kafka", "nomad", "box", "salesforce", "keycloak", "seccompagent", "krsi", "journald", "collector", "azure",
]  # fmt: skip
"""Falco's own sources, and those of plugins in Falco's registry (read 2026-11)."""

_ABSENT: Final = msgspec.Raw(b"null")


class Alert(msgspec.Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """One alert. Falco's configuration can leave out every key except rule and priority."""

    hostname: msgspec.Raw = _ABSENT
    message: msgspec.Raw = _ABSENT
    output: msgspec.Raw = _ABSENT
    output_fields: OutputFields | None = None
    priority: str
    rule: str
    source: UsualSource = ""
    tags: msgspec.Raw = _ABSENT
    time: str = ""


class Notice(msgspec.Struct, gc=False):
    """A message of Falco about itself."""

    rule: str
    output_fields: dict[str, int | float | str | bool | None] = {}


NotAnAlert = msgspec.MsgspecError
"""The decoders raise it for a line that is not an alert: other JSON, text, or a line that was cut off."""

decode_notice = msgspec.json.Decoder(Notice).decode

decode_alert = msgspec.json.Decoder(Alert).decode
"""Raises NotAnAlert, also for an alert with an unusual key, source or type: `decode_leniently` accepts that one."""

NO_ALERT: Final = Alert(rule="", priority="")
"""Placeholder for a line that is not an alert."""


def decode_alerts(payloads: Sequence[bytes]) -> list[Alert]:
    """All of them, with NO_ALERT for each payload that `decode_alert` does not accept."""
    try:
        return [*map(decode_alert, payloads)]
    except (NotAnAlert, ValueError, RecursionError):
        return [_alert_or_placeholder(payload) for payload in payloads]


def _alert_or_placeholder(payload: bytes) -> Alert:
    try:
        return decode_alert(payload)
    except (NotAnAlert, ValueError, RecursionError):
        return NO_ALERT


def decode_leniently(payload: bytes) -> Alert:
    """Accepts also an alert with other keys, another source, or a pod field that is not text. Raises NotAnAlert."""
    try:
        whole: object = msgspec.json.decode(payload)
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
        source=cast(UsualSource, _text(whole.get("source")) or ""),
        output_fields=OutputFields(
            container_id=_text(fields.get("container.id")),
            namespace=_text(fields.get("k8s.ns.name")),
            pod=_text(fields.get("k8s.pod.name")),
            uid=_text(fields.get("k8s.pod.uid")),
        )
        if isinstance(fields, dict)
        else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _known(value: str | None) -> str | None:
    return None if value in ("", "<NA>") else value
