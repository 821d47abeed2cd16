"""Finds what is not filled in: prints each value that a manifest still needs from the user, with its file and line.

Three kinds: a placeholder `<YOUR-…>`; the image name of this project, which is in no registry; and an agent whose log
group the IAM policy does not permit. `python tools/placeholders.py [PATH …]` checks the given files and directories.
Without a path it checks the manifests that docs/walk.md applies. Comments are ignored, because they may show another
variant. Exit codes: 0 if nothing is left, 1 if there is something, 2 if a path does not exist.

Needs only the standard library, so that users can run it before they install anything.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFESTS = Path(os.path.relpath(Path(__file__).parents[1] / "manifests"))
"""Relative to the working directory, so that the printed paths are short."""

WALK = tuple(MANIFESTS / name for name in ("aws", "eks", "falco", "sample"))
"""The directories that docs/walk.md applies. The ECS task is not part of the walk; name manifests/ecs to check it."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
POLICY = MANIFESTS / "aws" / "iam-policy.json"
AGENT_CONFIG = "config.yaml"
_PLACEHOLDER = re.compile(r"<YOUR-[A-Z0-9-]+>")
_COMMENT = re.compile(r"(^|\s)#.*")
_IMAGE = re.compile(r"^\s*(-\s*)?(newName|image|repository):\s*[\"']?falcowatch/falcowatch(?![\w./-])")
_SETTING = re.compile(r"(?:^|[\s{,])(cluster_name|log_group):\s*[\"']?((?:\{[a-z]+\}|[^\"',}\s])+)")
_GROUP_OF_POLICY = re.compile(r":log-group:([^:\"*]+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that is not filled in."""

    path: Path
    line: int
    text: str


def findings(path: Path) -> Iterator[Finding]:
    """Yields what is not filled in in one file, except in comments."""
    lines = _lines(path)
    # kustomize replaces the name in the other files of its directory.
    is_replaced = path.name != "kustomization.yaml" and path.with_name("kustomization.yaml").exists()
    for number, text in lines:
        for name in _PLACEHOLDER.findall(text):
            yield Finding(path, number, f"placeholder {name} is not filled in")
        if _IMAGE.match(text) and not is_replaced:
            yield Finding(
                path, number, "image falcowatch/falcowatch is in no registry; name the repository of your image"
            )
    if path.name == AGENT_CONFIG:
        yield from _group_without_permission(path, lines)


def _group_without_permission(path: Path, lines: list[tuple[int, str]]) -> Iterator[Finding]:
    """The log group of an agent's configuration, if the IAM policy is filled in and does not permit it."""
    settings = {name: (number, value) for number, text in lines for name, value in _SETTING.findall(text)}
    _, cluster = settings.get("cluster_name", (1, ""))
    number, template = settings.get("log_group", (1, "/falco/{cluster}" if cluster else "falco"))
    group = template.replace("{cluster}", cluster)
    permitted = _GROUP_OF_POLICY.findall(POLICY.read_text(encoding="utf-8"))
    if "{" not in group and not any(name.startswith("<YOUR-") or name == group for name in permitted):
        yield Finding(
            path,
            number,
            f"the log group is {group}, but {POLICY} permits {permitted[0]}; set cluster_name or log_group",
        )


def _lines(path: Path) -> list[tuple[int, str]]:
    """The numbered lines of a file, without comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    is_yaml = path.suffix != ".json"
    return [(number, _COMMENT.sub("", line) if is_yaml else line) for number, line in enumerate(lines, start=1)]


def main(arguments: Sequence[str]) -> int:
    roots = [Path(argument) for argument in arguments] or list(WALK)
    missing = [root for root in roots if not root.exists()]
    for root in missing:
        sys.stderr.write(f"{root}: no such file or directory\n")
    if missing:
        return 2
    found = [finding for path in _files(roots) for finding in findings(path)]
    for one in found:
        sys.stderr.write(f"{one.path}:{one.line}: {one.text}\n")
    return 1 if found else 0


def _files(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_file():
            yield root
        else:
            yield from sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
