"""Cases: a kind of alert in one pod. A case is decided once; the fast path looks it up for each alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.processing.alert import Alert, OutputFields
from agent.core.processing.kinds import Kind
from agent.core.values import PodKey

MOST_CASES: Final = 8192
"""Some tens of rules in some hundreds of pods. Beyond this number all cases are forgotten and learned again."""

HOST_ALONE: Final = OutputFields(container_id="host")
"""The pod fields of an alert about the host itself."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedPod:
    """A pod, as alerts name it. There is one object for each pod."""

    key: PodKey
    is_host: bool
    """The alerts are about the host itself, so there is no pod."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A kind of alert in one pod."""

    kind: Kind
    pod: NamedPod


class Cases:
    """The cases that were seen. Each is learned from its first alert, which goes through the slow path."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str, str, OutputFields | None], Case] = {}
        self._pods: dict[OutputFields, NamedPod] = {}

    def of(self, alerts: Sequence[Alert]) -> list[Case | None]:
        """The case of each alert; None if the slow path must process the alert."""
        get = self._cases.get
        # An alert with a top-level `kubernetes` or `falcowatch` takes the slow path. Without both, both are None.
        return [
            get((alert.priority, alert.source, alert.rule, alert.output_fields))
            if alert.kubernetes is alert.falcowatch
            else None
            for alert in alerts
        ]

    def learn(self, alert: Alert, kind: Kind) -> None:
        fields = alert.output_fields
        if fields is None or not kind.takes_fast_path:
            return
        if len(self._cases) >= MOST_CASES:
            self._cases.clear()
            self._pods.clear()
        pod = self._pods.get(fields)
        if pod is None:
            pod = self._pods[fields] = NamedPod(fields.key(), fields == HOST_ALONE)
        self._cases[alert.priority, alert.source, alert.rule, fields] = Case(kind, pod)
