"""The values that the modules of this package share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """One log as its writer sees it: a restart of a container, or a file that is rotated under one name."""

    root: Path
    """The trusted directory; no link is followed below it."""
    relative: tuple[str, ...]
    """Steps from there to the live file."""
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.relative)

    @property
    def belongs_to(self) -> str:
        """What makes its files differ from those of any other source with the same content."""
        return "/".join((self.pod_uid, self.container, self.relative[-1])) if self.pod_uid else str(self.path.parent)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a source, as it stood at the time of the look."""

    relative: tuple[str, ...]
    rotated: str
    """Sorts the files of a source, oldest first; the live file, which is not rotated, is last."""
    compressed: bool
    device: int
    inode: int

    @property
    def live(self) -> bool:
        return not self.rotated


Found = dict[Source, tuple[FoundFile, ...]]
"""Every source with its files, oldest first."""
