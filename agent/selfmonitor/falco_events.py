"""The own events about Falco: a change in the life of one Falco, and a node that is blind."""

from __future__ import annotations

import time
from typing import Final

from msgspec import Struct

from agent.core.falco_state import MOST_NAMED, FalcoChange, FalcoState
from agent.core.values import Lane
from agent.selfmonitor.events import OwnEvent, timestamp
from agent.selfmonitor.liveness import Transition


class _Wording(Struct, frozen=True):
    kind: str
    priority: str
    lane: Lane
    output: str


_WORDINGS: Final = {
    "silent": _Wording(
        "Falco is silent", "Critical", Lane.URGENT, "Falco in {name} has written nothing for {seconds:.0f} s"
    ),
    "restarted": _Wording(
        "Falco restarted", "Critical", Lane.URGENT, "Falco in {name} has restarted, {seconds:.0f} s after it last wrote"
    ),
    "vanished": _Wording(
        "Falco vanished",
        "Critical",
        Lane.URGENT,
        "Falco in {name} is gone from this node, {seconds:.0f} s after it last wrote, and none took its place",
    ),
    "replaced": _Wording("Falco was replaced", "Notice", Lane.ROUTINE, "Falco in {name} was replaced by {by}"),
    "moved": _Wording(
        "Falco moved",
        "Notice",
        Lane.ROUTINE,
        "Falco in {name} is gone from this node; its owner may run the next pod on another node",
    ),
    "back": _Wording("Falco is back", "Notice", Lane.URGENT, "Falco writes again in {by}"),
}

_BLIND: Final = {
    FalcoState.TEXT: "Falco prints text",
    FalcoState.ELSEWHERE: "A Falco on this node is not read",
    FalcoState.NONE: "No Falco is on this node",
}


def transition_event(transition: Transition) -> OwnEvent:
    """The event about one Falco."""
    wording = _WORDINGS[transition.state]
    by = transition.by or transition.name
    fields: dict[str, object] = {
        "falco.pod": transition.name,
        "falco.state": transition.state,
        "falco.silent_seconds": round(transition.seconds, 1),
        "falco.last_wrote": timestamp(int((time.time() - transition.seconds) * 1000)),
    }
    if transition.by:
        fields["falco.successor"] = transition.by
    if transition.at_start:
        fields["falco.found_at_start"] = True
    output = wording.output.format(name=transition.name, seconds=transition.seconds, by=by)
    if transition.state == "restarted" and transition.at_start:
        output = f"Falco in {transition.name} has restarted while the agent was not running"
    elif transition.at_start:
        output += ", as found when the agent started"
    return OwnEvent(wording.kind, wording.priority, output, fields, wording.lane)


def node_event(change: FalcoChange) -> OwnEvent:
    """The event about the node: it is blind, or it is not blind any more."""
    view = change.view
    fields: dict[str, object] = {
        "falco.state": view.state.value,
        "falco.pods": [pod.name for pod in view.pods[:MOST_NAMED]],
        "falco.pod_count": len(view.pods),
        "falco.blind_seconds": round(change.blind_seconds, 1),
    }
    if view.is_blind:
        what = "No log can be read on this node" if view.unlistable else _BLIND[view.state]
        output = f"{what}, since {change.blind_seconds:.0f} s: {view.detail}"
        return OwnEvent("Falco is not read", "Critical", output, fields)
    return OwnEvent("Falco is read", "Notice", f"This node is not blind any more: {view.detail}", fields)
