"""Refuses placeholders: names each `<YOUR-…>` that still stands in a manifest, with its file and line.

Comments don't count, so that a variant may stand beside the one in use. Applies to the files and folders given, or
to those of the walk on EKS; exits 0 when nothing is left to fill in, 1 otherwise, 2 for a path that is not there.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFESTS = Path(os.path.relpath(Path(__file__).parent))
WALK = tuple(MANIFESTS / name for name in ("aws", "eks", "falco", "sample"))
"""What docs/walk.md applies; a task on ECS is another way: name its folder."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_PLACEHOLDER = re.compile(r"<YOUR-[A-Z0-9-]+>")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True, slots=True)
class Left:
    """A placeholder that nobody has filled in."""

    path: Path
    line: int
    name: str


def placeholders(path: Path) -> Iterator[Left]:
    """Each placeholder of one file, outside of comments."""
    is_yaml = path.suffix != ".json"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = _COMMENT.sub("", line) if is_yaml else line
        for name in _PLACEHOLDER.findall(text):
            yield Left(path, number, name)


def main(arguments: Sequence[str]) -> int:
    roots = [Path(argument) for argument in arguments] or list(WALK)
    missing = [root for root in roots if not root.exists()]
    for root in missing:
        sys.stderr.write(f"{root}: no such file or folder\n")
    if missing:
        return 2
    left = [one for path in _files(roots) for one in placeholders(path)]
    for one in left:
        sys.stderr.write(f"{one.path}:{one.line}: {one.name} still stands; put your own value in its place\n")
    return 1 if left else 0


def _files(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_file():
            yield root
        else:
            yield from sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
