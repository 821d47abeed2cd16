"""Finds placeholders: prints each `<YOUR-…>` that a manifest still contains, with its file and line.

`python tools/placeholders.py [PATH …]` checks the given files and directories. Without a path it checks the manifests
that docs/walk.md applies. Comments are ignored, because they may show another variant. Exit codes: 0 if no placeholder
is left, 1 if there is one, 2 if a path does not exist.

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
_PLACEHOLDER = re.compile(r"<YOUR-[A-Z0-9-]+>")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A placeholder that is not filled in."""

    path: Path
    line: int
    name: str


def placeholders(path: Path) -> Iterator[Placeholder]:
    """Yields the placeholders of one file, except those in comments."""
    is_yaml = path.suffix != ".json"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = _COMMENT.sub("", line) if is_yaml else line
        for name in _PLACEHOLDER.findall(text):
            yield Placeholder(path, number, name)


def main(arguments: Sequence[str]) -> int:
    roots = [Path(argument) for argument in arguments] or list(WALK)
    missing = [root for root in roots if not root.exists()]
    for root in missing:
        sys.stderr.write(f"{root}: no such file or directory\n")
    if missing:
        return 2
    found = [placeholder for path in _files(roots) for placeholder in placeholders(path)]
    for one in found:
        sys.stderr.write(f"{one.path}:{one.line}: placeholder {one.name} is not filled in\n")
    return 1 if found else 0


def _files(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_file():
            yield root
        else:
            yield from sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
