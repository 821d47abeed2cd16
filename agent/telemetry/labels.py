"""Bounds the values of labels that come from outside: rules, priorities and sources of alerts.

Each value of a label is a time series, which the agent keeps for its whole life and writes in every answer to
/metrics. Whoever writes alerts could otherwise fill the agent's memory with long or ever new names.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LONGEST_LABEL_CHARS: Final = 128
DIGEST_CHARS: Final = 8
OTHER: Final = "other"
"""The label of all values beyond the bounds."""


def label(value: str) -> str:
    """The value as a label: a longer one ends after 128 characters, followed by a digest of the whole value.

    Characters that UTF-8 cannot encode become `?`, because an answer to /metrics is UTF-8.
    """
    text = value if value.isascii() else value.encode("utf-8", "replace").decode()
    if len(text) <= LONGEST_LABEL_CHARS:
        return text
    digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARS]
    return f"{text[:LONGEST_LABEL_CHARS]}~{digest}"


class BoundedLabels:
    """The values of one label: at most `most` of them, and at most `most_bytes` together. Further ones are `other`."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._room_bytes = most_bytes
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, value: str) -> str:
        """The label for this value."""
        text = label(value)
        if text not in self._known:
            cost = len(text.encode())
            if len(self._known) >= self._most or cost > self._room_bytes:
                return OTHER
            self._known.add(text)
            self._room_bytes -= cost
        return text
