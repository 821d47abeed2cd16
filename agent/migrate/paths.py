"""Turns the path patterns of Fluent Bit into the settings that select Falco's files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.migrate.routes import KUBELET_DIRECTORIES, names_falco

_LINK: Final = re.compile(
    r"/var/log/containers/(?P<pod>[^_/]+)_(?P<namespace>[^_/]+)_(?P<container>[^_/]+?)(-\*)?\.log"
)
_POD: Final = re.compile(r"/var/log/pods/(?P<namespace>[^_/]+)_(?P<pod>[^_/]+)(_[^/]+)?/(?P<container>[^/]+)/[^/]+")
_PREFIX: Final = re.compile(r"/var/log/containers/(?P<pod>[^_/*?\[]*falco[^_/*?\[]*)\*(\.log)?")

DEFAULTS: Final = {"tail.namespace": "falco", "tail.pod": "falco-*", "tail.container": "falco"}
_WHERE: Final = (
    "the path names no namespace. The agent reads only pods named falco-* in the namespace `falco`, because every line "
    "that it reads counts as Falco's; if Falco runs in another namespace, set tail.namespace"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The settings for the patterns of one option, with what to say about them."""

    says: str
    settings: tuple[tuple[str, Any], ...] = ()
    todo: str = ""


def selection(patterns: Sequence[str]) -> Selection:
    """The settings that read Falco's files among those of the patterns."""
    settings: dict[str, Any] = {}
    paths: list[str] = []
    asks_namespace = False
    for pattern in patterns:
        if pattern.startswith("/var/lib/docker/containers/"):
            settings["tail.follow_links_into"] = ["/var/lib/docker/containers"]
            asks_namespace = True
        elif pattern.startswith(KUBELET_DIRECTORIES):
            named = _names(pattern)
            settings |= named
            asks_namespace = asks_namespace or "tail.namespace" not in named
        elif names_falco(pattern):
            paths.append(pattern)
    if paths:
        settings["tail.paths"] = paths
    todo = f"{_WHERE}." if asks_namespace and "tail.namespace" not in settings else ""
    kept = tuple((key, value) for key, value in settings.items() if DEFAULTS.get(key) != value)
    if not kept:
        return Selection("No setting: the agent reads the files of Falco's container below /var/log/pods.", todo=todo)
    return Selection("Becomes the selection of Falco's files; other files of the path are not read.", kept, todo)


def _names(pattern: str) -> dict[str, str]:
    """Globs of namespace, pod and container in a pattern that names them. A glob that selects all is left out."""
    match = _LINK.fullmatch(pattern) or _POD.fullmatch(pattern) or _PREFIX.fullmatch(pattern)
    if match is None:
        return {}
    names = {key: value for key, value in match.groupdict().items() if value.strip("*")}
    if "pod" in names and not names["pod"].endswith("*") and _PREFIX.fullmatch(pattern):
        names["pod"] += "*"
    # `falco*` selects no other Falco than the default `falco-*`, but also pods of other programs.
    if names.get("pod") in ("falco*", "*falco*"):
        del names["pod"]
    return {f"tail.{key}": value for key, value in names.items()}
