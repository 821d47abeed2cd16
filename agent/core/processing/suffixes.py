"""The bytes that follow an alert's own bytes in its message: the pod, and the agent's `falcowatch` object.

    {…the alert…  ,"kubernetes":{…} ,"falcowatch":{"id":"<file>:  <offset>","node":…,"cluster":…}}
                  └────────────── suffix ──────────────────────┘  └────────── ending ────────────┘

The suffix is the same for all alerts of one pod in one file, so it is one object for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from agent.core.batching.span import escaped
from agent.core.processing.cases import NamedPod
from agent.core.values import Fragment

MOST_SUFFIXES: Final = 8192
"""As many pods as there may be cases. Beyond this number all suffixes are forgotten and made again."""


class Ending(Struct, frozen=True):
    """The end of every message, behind the offset: `","node":…,"cluster":…}}`."""

    plain: bytes
    escaped: bytes

    @classmethod
    def of(cls, plain: bytes) -> Ending:
        return cls(plain, escaped(plain.decode()))


class FileSuffix(Struct, frozen=True):
    """The part of a suffix that depends only on the file."""

    file: str
    escaped: bytes
    """From behind the pod up to the offset."""
    added_bytes: int
    """See Suffix; without the pod."""

    @classmethod
    def of(cls, file: str, ending: Ending) -> FileSuffix:
        opening = f',"falcowatch":{{"id":"{file}:'
        escapes = len(ending.escaped) - len(ending.plain)
        return cls(file, escaped(opening), len(opening) - escapes - len("}"))


class Suffix(Struct, frozen=True, eq=False):
    """What follows the alerts of one pod in one file, up to the offset."""

    fragment: Fragment
    file: str
    escaped: bytes
    added_bytes: int
    """The size of a message, less the size of the alert and of the escaped ending with its offset.

    It subtracts the alert's closing brace, which is left out, and the escapes of the ending, which do not count.
    """


class SuffixCache:
    """The last suffix of each pod. Only this object changes it, so the suffixes themselves can be shared."""

    def __init__(self) -> None:
        self._suffixes: dict[NamedPod, Suffix] = {}
        self._file: FileSuffix | None = None
        """Of the last chunk's file: most chunks are of the same file as the one before."""

    def of_file(self, file: str, ending: Ending) -> FileSuffix:
        if self._file is None or self._file.file != file:
            self._file = FileSuffix.of(file, ending)
        return self._file

    def of(self, fragments: Mapping[NamedPod, Fragment], file: FileSuffix) -> dict[NamedPod, Suffix]:
        """The suffix of each pod. One call for all pods of a chunk, because calls cost more than comparisons."""
        found: dict[NamedPod, Suffix] = {}
        suffixes, name = self._suffixes, file.file
        for pod, fragment in fragments.items():
            suffix = suffixes.get(pod)
            if suffix is None or suffix.fragment is not fragment or suffix.file != name:
                suffix = self._make(pod, fragment, file)
            found[pod] = suffix
        return found

    def _make(self, pod: NamedPod, fragment: Fragment, file: FileSuffix) -> Suffix:
        if len(self._suffixes) >= MOST_SUFFIXES:
            self._suffixes.clear()
        added_bytes = len(fragment.plain) + file.added_bytes
        suffix = self._suffixes[pod] = Suffix(fragment, file.file, fragment.escaped + file.escaped, added_bytes)
        return suffix
