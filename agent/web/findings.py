"""A finding: one problem for the operator, with its headline and its remedy. And the findings about Falco. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from agent.core.falco_state import FalcoState, FalcoView
from agent.web.figures import duration, plural
from agent.web.report import Falco

FALCO_PROBE = "falco"
"""The probe that says the same as `blindness`, for /readyz; it is not a second finding."""


class Level(StrEnum):
    CALM = "calm"
    ATTENTION = "attention"
    TROUBLE = "trouble"


class Finding(Struct, frozen=True):
    level: Level
    what: str
    remedy: str
    headline: str
    """The problem in a few words, for the top of the page if no other finding is worse."""


def worst(findings: Sequence[Finding]) -> Level:
    if any(finding.level is Level.TROUBLE for finding in findings):
        return Level.TROUBLE
    return Level.ATTENTION if findings else Level.CALM


def blindness(falco: Falco) -> Iterator[Finding]:
    """Whether the agent sees no alert of a Falco on this node, or only alerts as text."""
    view = falco.view
    if view is None or not view.is_blind or view.unlistable:
        return  # the check `read` tells of a log root that cannot be listed
    what = f"{_sentence(view)} This has lasted {duration(view.blind_seconds)}."
    match view.state:
        case FalcoState.ELSEWHERE:
            is_only = all(pod.state is FalcoState.ELSEWHERE for pod in view.pods)
            headline = "Falco is on this node, but is not read" if is_only else "A Falco on this node is not read"
            remedy = (
                "Change this so that its log is read. In the chart, falco.namespace stands for tail.namespace; other "
                "settings are below config. docs/falco-state.md explains the states."
            )
            yield Finding(Level.TROUBLE, what, remedy, headline)
        case FalcoState.TEXT:
            remedy = (
                "In Falco's chart, the value is falco.json_output. The text ships with its priority; rules and pods "
                "cannot be queried."
            )
            yield Finding(Level.TROUBLE, what, remedy, "Falco prints text, not JSON")
        case _:
            level = Level.TROUBLE if view.announced else Level.ATTENTION
            remedy = "kubectl get pods -A -o wide | grep falco shows where Falco runs. docs/falco-state.md has more."
            yield Finding(level, what, remedy, "No Falco is on this node")


def falco_hints(falco: Falco) -> Iterator[Finding]:
    """Conditions in which Falco may miss something."""
    view = falco.view
    is_silent = view is not None and view.state is FalcoState.SILENT
    if falco.silent or is_silent:
        what = f"Falco has written nothing for {duration(falco.silent_seconds or 0)}."
        if view is not None and is_silent and not falco.silent:
            what = _sentence(view)
        yield Finding(
            Level.ATTENTION,
            what,
            "Check that Falco's pod on this node is running: kubectl get pods -A -o wide | grep falco. Then read its "
            "log with kubectl logs.",
            "Falco is silent",
        )
    if falco.syscall_drops:
        missed = f"Falco missed {plural(falco.syscall_drops, 'system call')}"
        yield Finding(
            Level.ATTENTION,
            f"{missed} because its buffers were full.",
            "Raise driver.modernEbpf.bufSizePreset in the values of Falco's chart, or give its pod more CPU.",
            missed,
        )


def _sentence(view: FalcoView) -> str:
    """The detail begins with the name of a pod, which stays as it is, or with `no Falco`."""
    return f"{view.detail}." if view.pods else f"{view.detail[:1].upper()}{view.detail[1:]}."
