"""Kinds of alert in one pod, looked up once and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent.core.processing.alert import Alert, OutputFields
from agent.core.processing.result import Kind
from agent.core.values import Fragment, PodKey

if TYPE_CHECKING:
    pass


MOST_CASES: Final = 8192
"""Some tens of rules in some hundreds of pods. Beyond, all are forgotten and learned anew."""


HOST_ALONE: Final = OutputFields(container_id="host")
"""What an alert about no pod says."""


class Place:
    """A pod as alerts name it, and what is known of it."""

    __slots__ = ("added_bytes", "appended", "fragment", "is_host", "key", "opening")

    def __init__(self, pod: OutputFields) -> None:
        self.key: PodKey = pod.key()
        self.is_host = pod == HOST_ALONE
        self.fragment: Fragment | None = None
        """As looked up for the chunk at hand; None: not known yet."""
        self.opening = b""
        """Of the file that the last chunk came from; with the fragment, what the next two were made of."""
        self.appended = b""
        """What follows the alert's own text in the message, escaped, up to the offset in its id."""
        self.added_bytes = 0
        """How much longer a message is than the alert and the escaped end of its id."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A kind of alert in one place."""

    kind: Kind
    place: Place


class Cases:
    """Those that were met; each is learned from its first alert, which goes the careful way."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str, str, OutputFields | None], Case] = {}
        self._places: dict[OutputFields, Place] = {}

    def of(self, alerts: Sequence[Alert]) -> list[Case | None]:
        """None for an alert that is not plain, or the first of its case."""
        get = self._cases.get
        # An alert that has a key of ours already is not plain: either both are missing, or they differ.
        return [
            get((alert.priority, alert.source, alert.rule, alert.output_fields))
            if alert.kubernetes is alert.falcowatch
            else None
            for alert in alerts
        ]

    def learn(self, alert: Alert, kind: Kind) -> None:
        pod = alert.output_fields
        if pod is None or not kind.takes_fast_path:
            return
        if len(self._cases) >= MOST_CASES:
            self.forget()
        place = self._places.get(pod)
        if place is None:
            place = self._places[pod] = Place(pod)
        self._cases[alert.priority, alert.source, alert.rule, pod] = Case(kind, place)

    def forget(self) -> None:
        self._cases.clear()
        self._places.clear()
