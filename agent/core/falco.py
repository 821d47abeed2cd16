"""What an alert of Falco says, as far as the path needs it.

Decoding is typed and partial: time, priority, rule, source and the pod; the rest of the line is
validated as JSON and skipped. The line itself is never rebuilt from what was decoded.
Facts: Falco 0.40 to 0.44 write one compact object a line, `time` always with nine decimals in UTC.
"""

from __future__ import annotations

import calendar
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


_THOUSANDTHS: Final = {f".{number:03}": number for number in range(1000)}
"""What the first three decimals of a second are: looked up, not parsed, once an alert."""


_MILLISECOND: Final = slice(len("2026-11-23T07:53:51.905"))
"""Of a timestamp: what is remembered of it."""


class Clock:
    """Falco's and the container runtimes' timestamps → milliseconds since 1970.

    `2026-11-23T07:53:51.905525426Z`, and the same with fewer decimals or `+00:00`. Seconds repeat in
    a flood, and so do milliseconds, so the last ones are remembered.
    """

    __slots__ = ("_moments", "_seconds")

    def __init__(self) -> None:
        self._seconds: dict[str, int] = {}
        self._moments: dict[str, int] = {}

    def many(self, stamps: Sequence[str]) -> list[int | None]:
        """Of Falco's timestamps, each; None for what is none."""
        known, moment, head = self._moments.get, self.moment, _MILLISECOND
        return [known(stamp[head]) or moment(stamp) if stamp[-1:] == "Z" else moment(stamp) for stamp in stamps]

    def milliseconds(self, stamp: str) -> int:
        """Raises ValueError for what is no timestamp."""
        second = stamp[:19]
        base = self._seconds.get(second)
        if base is None:
            base = self._learn(second)
        if stamp[-1] == "Z" and (thousandths := _THOUSANDTHS.get(stamp[19:23])) is not None:
            return base + thousandths
        return base + _fraction(stamp) - _zone(stamp)

    def moment(self, stamp: str) -> int | None:
        """None for what is no timestamp."""
        try:
            moment = self.milliseconds(stamp)
        except (ValueError, IndexError):
            return None
        if stamp[-1] == "Z" and stamp[19:23] in _THOUSANDTHS:
            if len(self._moments) > 4096:
                self._moments.clear()
            self._moments[stamp[_MILLISECOND]] = moment
        return moment

    def _learn(self, second: str) -> int:
        if len(self._seconds) > 4096:
            self._seconds.clear()
        base = self._seconds[second] = _whole_second(second)
        return base


def _whole_second(text: str) -> int:
    if len(text) != 19 or text[4] + text[7] + text[10] + text[13] + text[16] != "--T::":
        raise ValueError(f"no timestamp: {text!r}")
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"no timestamp: {text!r}")
    year, month, day, hour, minute, second = map(int, parts)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"no timestamp: {text!r}")
    return calendar.timegm((year, month, day, hour, minute, second)) * 1000


def _fraction(stamp: str) -> int:
    if stamp[19:20] != ".":
        return 0
    digits = stamp[20:].partition("Z")[0].partition("+")[0].partition("-")[0]
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"no timestamp: {stamp!r}")
    return int(digits[:3].ljust(3, "0"))


def _zone(stamp: str) -> int:
    """Milliseconds that the stamp's zone is ahead of UTC."""
    zone = stamp[19:].lstrip(".0123456789")
    if zone in ("Z", ""):
        return 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":" or not (zone[1:3] + zone[4:]).isdigit():
        raise ValueError(f"no timestamp: {stamp!r}")
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return minutes * 60_000 * (1 if zone[0] == "+" else -1)
