"""File names as text.

A Linux file name is bytes. Python keeps bytes that are not UTF-8 as lone surrogates, which neither JSON nor a log
line nor CloudWatch accepts. Every path that leaves this package goes through `printable`.
"""

from __future__ import annotations

import os
from pathlib import Path


def printable(path: Path | str) -> str:
    """The path as UTF-8 text. Bytes that are not UTF-8 become `\\xff`; other names stay as they are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
