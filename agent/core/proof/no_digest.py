"""The digest of a file while seals are switched off: nothing is computed, and nothing is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.core.proof.segment import FileDigest, Standing, Statement


class NoDigest:
    """Stands in for a FileDigest, and states nothing about its file."""

    is_computed = False

    def __init__(self, file: str) -> None:
        self.file = file
        self.unshipped: set[int] = set()
        self.rejected: set[int] = set()

    def restart(self, offset: int) -> None:
        """There is no segment to begin."""

    def add(self, offsets: list[int], payloads: list[bytes], end: int) -> None:
        return None

    def filter(self, filtered: Mapping[str, int]) -> None:
        """Nothing is counted."""

    def count_unknown(self, records: int) -> None:
        """Nothing is counted."""

    def reject(self, offset: int) -> None:
        """No seal will name the record."""

    def cross(self, end: int, records: int) -> None:
        return None

    def add_crossed(self, offset: int, payload: bytes | None) -> None:
        return None

    def commit(self, standing: Standing) -> None:
        """There is no standing."""

    def statements(self, committed: int) -> list[Statement]:
        return []

    def forget_settled(self, committed: int) -> None:
        """Nothing is kept."""

    def note_stated(self, statements: Iterable[Statement], number: int) -> None:
        """No seal is made."""


Digest = FileDigest | NoDigest
