"""Run agents under the conditions of the container image: compiled bytecode, and trimmed service models of AWS.

An agent that compiles its modules first starts seconds later and uses about 30 MB more memory. Complete service models
cost memory and start time too (`tools.image.trim_sdk`).
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
    """Applies to processes started in the `with` block. The first of each kind compiles, so do not count it."""
    changed = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "HOME")
    before = {name: os.environ.pop(name, None) for name in changed}
    # botocore reads models below the home directory. The new home also hides a developer's AWS settings.
    copy_trimmed_botocore(Path(botocore.__file__).parent / "data", place / "home" / ".aws" / "models")
    os.environ |= {"PYTHONPYCACHEPREFIX": str(place / "bytecode"), "HOME": str(place / "home")}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
