"""Label values from outside, bounded in length and in number.

The names of rules, sources and priorities are written by Falco, so their length and number are not known. A value ends
at LONGEST_LABEL characters, the last of which are a digest of the whole, so that two long values stay apart. Beyond the
first `most` values of a label, all others are `other`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LONGEST_LABEL: Final = 128
DIGEST_CHARACTERS: Final = 16
OTHER: Final = "other"


def label_value(text: str) -> str:
    """The text itself when it is short enough, else its beginning, `…` and a digest."""
    if not text.isascii():
        # An answer to /metrics is UTF-8, which has no form for half of a surrogate pair.
        text = text.encode("utf-8", "replace").decode()
    if len(text) <= LONGEST_LABEL:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
    return f"{text[: LONGEST_LABEL - DIGEST_CHARACTERS - 1]}…{digest}"


class BoundedLabel:
    """The values of one label."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: set[str] = set()

    def of(self, text: str) -> str:
        value = label_value(text)
        if value not in self._values:
            if len(self._values) >= self._most:
                return OTHER
            self._values.add(value)
        return value
