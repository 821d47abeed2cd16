"""Imports the SDK without the generators of its documentation.

botocore makes the docstrings of its clients with 20 modules and the HTML parser of the standard library. Nobody reads
them in an agent, and they cost each node 0.6 MB and a fiftieth of the start (botocore 1.43, 2026-11). This module puts
a class that generates nothing in their place while it imports the names that the agent needs.

Checked with the versions in CHECKED_WITH. If a version cannot be imported in this way, the ordinary import is used and
the reason is logged: the agent works, but needs more memory.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

CHECKED_WITH: Final = "aiobotocore 3.10, botocore 1.43.115 to 1.43.117"
"""pyproject.toml allows no newer versions; test_sdk_import.py says what a new version breaks."""

PACKAGE: Final = "botocore.docs"
"""Its `__init__` imports every generator."""
GENERATORS: Final = f"{PACKAGE}.docstring"

log = logging.getLogger(__name__)


class NoDocstring(str):
    """In place of a docstring that would be generated when somebody reads it."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> NoDocstring:
        return super().__new__(cls)


@contextmanager
def _without_generators() -> Iterator[None]:
    """Inside the block, other modules of the package can be imported. Later imports find the real package."""
    botocore = find_spec("botocore")
    if botocore is None or botocore.origin is None:
        raise ModuleNotFoundError("botocore is not installed; install falcowatch with its dependencies")
    package, generators = ModuleType(PACKAGE), ModuleType(GENERATORS)
    package.__path__ = [str(Path(botocore.origin).with_name("docs"))]
    for name in ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring"):
        setattr(generators, name, NoDocstring)
    stand_ins = {PACKAGE: package, GENERATORS: generators}
    before = {name: sys.modules.pop(name) for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)


_imported_before = set(sys.modules)
try:
    with _without_generators():
        from aiobotocore import credentials, utils
        from aiobotocore.config import AioConfig
        from aiobotocore.httpsession import AIOHTTPSession
        from aiobotocore.session import AioSession
except (ImportError, AttributeError, TypeError) as error:
    log.warning(
        "the AWS SDK was imported with the generators of its documentation; this SDK version is not a checked one",
        extra={"checked_with": CHECKED_WITH, "why": f"{type(error).__name__}: {error}"},
    )
    # Without the modules that the failed import left behind, the ordinary import starts from nothing.
    for name in sys.modules.keys() - _imported_before:
        if name.startswith(("aiobotocore", "botocore")):
            del sys.modules[name]
    from aiobotocore import credentials, utils
    from aiobotocore.config import AioConfig
    from aiobotocore.httpsession import AIOHTTPSession
    from aiobotocore.session import AioSession

__all__ = ["AIOHTTPSession", "AioConfig", "AioSession", "credentials", "utils"]
