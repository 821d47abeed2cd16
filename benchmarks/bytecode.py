"""Compiled bytecode for what is measured: an image brings it along, a working tree may not.

An agent that has to compile its modules first starts seconds later, and some 30 MB stay behind in its memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_bytecode(place: Path) -> Iterator[None]:
    """Processes that start meanwhile keep their bytecode below `place`; the first of each kind should not count."""
    before = {name: os.environ.pop(name, None) for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    os.environ["PYTHONPYCACHEPREFIX"] = str(place / "bytecode")
    try:
        yield
    finally:
        del os.environ["PYTHONPYCACHEPREFIX"]
        os.environ.update({name: value for name, value in before.items() if value is not None})
