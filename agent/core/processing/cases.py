"""Cases: a kind of alert in one pod. A case is decided once; the fast path looks it up for each alert.

What the agent remembers here are words that others wrote, so it is bounded in number and in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from agent.core.processing.alert import Alert, OutputFields
from agent.core.processing.kinds import Kind
from agent.core.values import PodKey

MOST_CASES: Final = 8192
"""Some tens of rules in some hundreds of pods. Beyond this number all cases are forgotten and learned again."""

MOST_BYTES: Final = 2 * 1024 * 1024
"""The words of all cases. Beyond it, likewise."""

LONGEST_CASE_BYTES: Final = 2048
"""A case with longer words is not learned: its alerts take the slow path. Real ones have about 100 bytes."""

HOST_ALONE: Final = OutputFields(container_id="host")
"""The pod fields of an alert about the host itself."""


class NamedPod(Struct, frozen=True, eq=False):
    """A pod, as alerts name it. There is one object for each pod."""

    key: PodKey
    is_host: bool
    """The alerts are about the host itself, so there is no pod."""


class Case(Struct, frozen=True, eq=False):
    """A kind of alert in one pod."""

    kind: Kind
    pod: NamedPod


class Cases:
    """The cases that were seen. Each is learned from its first alert, which goes through the slow path."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str, str, OutputFields | None], Case] = {}
        self._pods: dict[OutputFields, NamedPod] = {}
        self._bytes = 0

    def of(self, alerts: Sequence[Alert]) -> list[Case | None]:
        """The case of each alert; None if the slow path must process the alert."""
        get = self._cases.get
        return [get((alert.priority, alert.source, alert.rule, alert.output_fields)) for alert in alerts]

    def learn(self, alert: Alert, kind: Kind) -> None:
        fields = alert.output_fields
        if fields is None or not kind.takes_fast_path:
            return
        words = (alert.priority, alert.source, alert.rule, *filter(None, fields.key()))
        size = sum(map(len, words))
        if size > LONGEST_CASE_BYTES:
            return
        if len(self._cases) >= MOST_CASES or self._bytes + size > MOST_BYTES:
            self._cases.clear()
            self._pods.clear()
            self._bytes = 0
        self._bytes += size
        pod = self._pods.get(fields)
        if pod is None:
            pod = self._pods[fields] = NamedPod(fields.key(), fields == HOST_ALONE)
        self._cases[alert.priority, alert.source, alert.rule, fields] = Case(kind, pod)
