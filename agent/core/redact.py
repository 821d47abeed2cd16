"""Removes passwords from URLs in text that is printed or logged. Pure."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "•••"

_USERINFO: Final = re.compile(r"(?<=://)[^\s'\"]*@")
_USERINFO_WITHOUT_SCHEME: Final = re.compile(r"(?<![^\s'\"=])[^\s'\":@/=]+:(?!//)[^\s'\"@]*@")
"""User and password before a host without a scheme, as a proxy variable may have them."""


def without_passwords(text: str) -> str:
    """The text with user and password of every URL masked: `http://user:pw@host` → `http://•••@host`."""
    if "@" not in text:
        return text
    return _USERINFO_WITHOUT_SCHEME.sub(f"{MASK}@", _USERINFO.sub(f"{MASK}@", text))
