"""Troubles that a person should see and that do not make the agent unready: what works less well than it should.

Any part reports a trouble under its name while it lasts, and clears it. The status page, /readyz and /status show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LONGEST_DETAIL: Final = 500


class Findings:
    def __init__(self) -> None:
        self._current: dict[str, str] = {}

    def set(self, name: str, detail: str) -> None:
        """`detail` is one line: what is wrong, and the remedy."""
        self._current[name] = detail[:LONGEST_DETAIL]

    def clear(self, name: str) -> None:
        self._current.pop(name, None)

    @property
    def current(self) -> Mapping[str, str]:
        """Detail by name, in the order in which they appeared."""
        return dict(self._current)
