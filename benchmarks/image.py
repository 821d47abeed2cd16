"""Run agents under the conditions of the container image: bytecode without docstrings, and trimmed models of AWS.

An agent that compiles its modules first starts seconds later and uses about 30 MB more memory. Docstrings and complete
service models cost memory and start time too (`tools.image`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore

from tools.image.trim_sdk import copy_trimmed_botocore

COMPILE = """
import sys
from pathlib import Path

import agent.app, agent.cli, agent.enrich.kube_api
from tools.image.compile_bytecode import compile_module

for module in list(sys.modules.values()):
    source = getattr(module, "__file__", None) or ""
    if source.endswith(".py"):
        compile_module(Path(source), Path("/"))
"""

_NOT_IN_THE_IMAGE = ("PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Variables of a developer's machine. Loading a bundle of all authorities takes 30 ms."""


@contextmanager
def as_in_the_image(place: Path, *, quick: bool = False) -> Iterator[None]:
    """Applies to processes started in the `with` block. The first of each kind compiles, so do not count it.

    `quick`: the run only shows that the program works, so it uses the ordinary bytecode, which has docstrings and is
    usually compiled already.
    """
    changed = (*_NOT_IN_THE_IMAGE, "PYTHONPYCACHEPREFIX", "HOME")
    before = {name: os.environ.pop(name, None) for name in changed}
    # botocore reads models below the home directory. The new home also hides a developer's AWS settings.
    copy_trimmed_botocore(Path(botocore.__file__).parent / "data", place / "home" / ".aws" / "models")
    os.environ["HOME"] = str(place / "home")
    try:
        if not quick:
            os.environ["PYTHONPYCACHEPREFIX"] = str(place / "bytecode")
            subprocess.run([sys.executable, "-X", "no_debug_ranges", "-c", COMPILE], check=True)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
