"""Removes passwords from URLs in text that is printed or logged."""

from __future__ import annotations

import re

MASK = "•••"

_USERINFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_BARE_USERINFO = re.compile(r"^[^/?#\s:@]+:[^/?#\s]*@")
"""User and password in front of a host without a scheme, as a proxy variable may have them."""


def without_passwords(text: str) -> str:
    """The text with the user and password of every URL masked: `http://user:pw@host` → `http://•••@host`."""
    return _BARE_USERINFO.sub(f"{MASK}@", _USERINFO.sub(f"{MASK}@", text))
