"""Decides by lists of globs which labels, annotations and fields of a pod are appended to an alert. Pure.

A glob selects names, a glob behind `!` leaves names out, and the last glob that matches a name decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Final

FIELDS: Final = (
    "namespace_name",
    "pod_name",
    "pod_id",
    "host",
    "container_name",
    "container_image",
    "container_hash",
    "docker_id",
    "workload_kind",
    "workload_name",
    "service_account",
)
"""The fields of `kubernetes`, without labels and annotations, in the order of an event."""

DEFAULT_FIELDS: Final = ("*", "!container_hash", "!docker_id", "!workload_kind", "!service_account")
"""Fluent Bit's names, and the workload's name. The others have no use in a saved query, and their bytes cost money."""

DEFAULT_LABELS: Final = (
    "*",
    "!pod-template-hash",
    "!rollouts-pod-template-hash",
    "!controller-revision-hash",
    "!pod-template-generation",
    "!statefulset.kubernetes.io/*",
    "!apps.kubernetes.io/pod-index",
    "!batch.kubernetes.io/*",
    "!controller-uid",
    "!job-name",
)
"""All labels without those that a controller of Kubernetes sets: they repeat the pod's name or its owner's."""


class Globs:
    """A list of globs, of which the last one that matches decides."""

    def __init__(self, globs: Sequence[str]) -> None:
        # The alternatives are tried from left to right, so the last glob comes first.
        self._globs = [*reversed(globs)]
        self._any = re.compile("|".join(f"({translate(glob.removeprefix('!'))})" for glob in self._globs) or r"(?!)")

    def select(self, name: str) -> bool:
        match = self._any.fullmatch(name)
        return (
            match is not None and match.lastindex is not None and not self._globs[match.lastindex - 1].startswith("!")
        )


def selected(names: Iterable[str], globs: Sequence[str]) -> frozenset[str]:
    """The names that the list selects."""
    return frozenset(filter(Globs(globs).select, names))


def problem_of(globs: Sequence[str]) -> str:
    """Why the list cannot be meant; empty: it can."""
    if any(glob.removeprefix("!") == "" for glob in globs):
        return "must not contain an empty glob"
    if globs and all(glob.startswith("!") for glob in globs):
        return f'selects nothing, because each entry begins with "!"; write ["*", {", ".join(map(_quoted, globs))}]'
    return ""


def problem_of_fields(globs: Sequence[str]) -> str:
    """Why the list of globs over FIELDS cannot be meant; empty: it can."""
    unknown = [glob for glob in globs if not selected(FIELDS, [glob.removeprefix("!")])]
    if unknown and not problem_of(globs):
        return f"{unknown[0]!r} matches no field; the fields are {', '.join(FIELDS)}"
    return problem_of(globs)


def _quoted(glob: str) -> str:
    return f'"{glob}"'
