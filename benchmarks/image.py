"""What the image brings along and a working tree may not: compiled bytecode, and models of AWS cut to what is called.

An agent that has to compile its modules first starts seconds later, and some 30 MB stay behind in its memory; whole
models cost 11 MB and 40 ms (`tools.image.trim_sdk`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore

from tools.image.trim_sdk import copy_trimmed_botocore


@contextmanager
def as_in_the_image(place: Path) -> Iterator[None]:
    """For processes that start meanwhile. The first of each kind compiles what it imports, so it should not count."""
    changed = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "HOME")
    before = {name: os.environ.pop(name, None) for name in changed}
    # botocore looks below the home directory too, and there no setting of a person's own is found.
    copy_trimmed_botocore(Path(botocore.__file__).parent / "data", place / "home" / ".aws" / "models")
    os.environ |= {"PYTHONPYCACHEPREFIX": str(place / "bytecode"), "HOME": str(place / "home")}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
