"""Finds the sections that Falco's alerts pass: inputs by their path, filters and outputs by the tag.

An input reads Falco's log when one of its patterns matches a file that kubelet would give to a Falco container, or when
a pattern names falco. Regular expressions of the configuration are never run: one can be made to run for hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from agent.migrate.document import Document, Section

_ID: Final = "0123456789abcdef" * 4
_NAMESPACES: Final = ("falco", "default", "falco-system", "kube-system", "security", "monitoring", "logging")
KUBELET_FILES: Final = (
    *(f"/var/log/containers/falco-x2x9t_{namespace}_falco-{_ID}.log" for namespace in _NAMESPACES),
    *(f"/var/log/pods/{name}_falco-x2x9t_0f8fad5b-d9cb-469f-a165-70867728950e/falco/0.log" for name in _NAMESPACES),
)
DOCKER_FILE: Final = f"/var/lib/docker/containers/{_ID}/{_ID}-json.log"
KUBELET_DIRECTORIES: Final = ("/var/log/containers/", "/var/log/pods/", "/var/lib/docker/containers/")


@dataclass(frozen=True, slots=True)
class Routes:
    """The sections on the way of Falco's alerts, and the others, each with the reason."""

    inputs: tuple[Section, ...]
    filters: tuple[Section, ...]
    outputs: tuple[Section, ...]
    others: tuple[tuple[Section, str], ...]
    rewritten: bool = False
    """A rewrite_tag filter changes tags, so outputs of the new tags are on the way, too."""


def routes(document: Document) -> Routes:
    """The way of Falco's alerts through this configuration."""
    others: list[tuple[Section, str]] = []
    inputs = []
    tags: set[str] = set()
    for section in document.of_kind("input"):
        if files := falco_files(section):
            inputs.append(section)
            tags |= {_tag(section, file) for file in files}
        else:
            others.append((section, _why_not(section)))
    filters: list[Section] = []
    rewritten = False
    for section in document.of_kind("filter"):
        if not _matches(section, tags):
            others.append((section, _unmatched(section)))
            continue
        filters.append(section)
        if section.plugin == "rewrite_tag":
            rewritten = True
            tags |= {tag for option in section.options if option.key == "rule" if (tag := _new_tag(option.value))}
    outputs = []
    for section in document.of_kind("output"):
        if _matches(section, tags):
            outputs.append(section)
        else:
            others.append((section, _unmatched(section)))
    return Routes(tuple(inputs), tuple(filters), tuple(outputs), tuple(others), rewritten)


def patterns(section: Section, key: str = "path") -> list[str]:
    """The patterns of an option that holds several, separated by commas."""
    values = [option.value for option in section.options if option.key == key]
    return [pattern.strip() for value in values for pattern in value.split(",") if pattern.strip()]


def names_falco(pattern: str) -> bool:
    return "falco" in pattern.lower()


def falco_files(section: Section) -> list[str]:
    """Files of Falco that this input reads: examples of kubelet's names, and patterns elsewhere that name falco."""
    if section.plugin != "tail":
        return []
    excluded = patterns(section, "exclude_path")
    known = [*KUBELET_FILES, DOCKER_FILE]
    found = [file for file in known if any(_fits(file, pattern) for pattern in patterns(section))]
    found += [
        pattern
        for pattern in patterns(section)
        if names_falco(pattern) and not any(_fits(one, pattern) for one in known)
    ]
    return [file for file in found if not any(_fits(file, pattern) for pattern in excluded)]


def _fits(file: str, pattern: str) -> bool:
    """Whether the pattern matches, where `*` does not match a slash, as in glob(3)."""
    parts, wanted = file.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _tag(section: Section, file: str) -> str:
    """Fluent Bit replaces `*` by the path of the file, with dots for slashes."""
    return (section.get("tag") or "tail.0").replace("*", file.lstrip("/").replace("/", "."))


def _matches(section: Section, tags: set[str]) -> bool:
    if section.get("match_regex") is not None:
        return bool(tags)
    wanted = section.get("match")
    if wanted is None:
        return False
    # `*` is the only wildcard of Match.
    glob = wanted.replace("[", "[[]").replace("?", "[?]")
    return any(fnmatchcase(tag, glob) for tag in tags)


def _new_tag(rule: str) -> str:
    """The tag that `Rule KEY REGEX NEW_TAG KEEP` gives, with a placeholder for each field of the record."""
    words = rule.split()
    if len(words) < 4:
        return ""
    return ".".join("x" if part.startswith("$") else part for part in words[-2].split("."))


def _why_not(section: Section) -> str:
    if section.plugin != "tail":
        return "it does not read log files of containers"
    if any(names_falco(pattern) for pattern in patterns(section, "exclude_path")):
        return "Exclude_Path excludes Falco's files"
    return "its path does not match Falco's files"


def _unmatched(section: Section) -> str:
    if section.get("match") is None and section.get("match_regex") is None:
        return "it has no Match, so Fluent Bit does not use it"
    return "Falco's tag does not match"
