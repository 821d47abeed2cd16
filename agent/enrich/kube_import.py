"""Imports configuration and authentication of kubernetes-asyncio without its 700 generated modules.

The packages of kubernetes-asyncio import a class for every kind of object and request. The agent uses none of them, and
they would cost each node 34 MB of memory and a fifth of a second of CPU (release 36.1, 2026-11). This module puts empty
packages in their place while it imports the names that the agent needs.

Checked with the releases that pyproject.toml allows. If a release cannot be imported in this way, the ordinary import
is used and the reason is logged: the agent works, but needs more memory.
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

log = logging.getLogger(__name__)

PACKAGES: Final = ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models")
"""The packages whose `__init__` imports the generated modules."""


@contextmanager
def _empty_packages() -> Iterator[ModuleType]:
    """Modules of these packages can be imported one by one inside the block. Later imports find the real packages."""
    spec = find_spec(PACKAGES[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("kubernetes-asyncio is not installed; install falcowatch with its dependencies")
    before: dict[str, ModuleType] = {name: sys.modules.pop(name) for name in PACKAGES if name in sys.modules}
    for name in PACKAGES:
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(Path(spec.origin).parents[1].joinpath(*name.split(".")))]
    try:
        yield sys.modules["kubernetes_asyncio.client"]
    finally:
        for name in PACKAGES:
            sys.modules.pop(name, None)
        sys.modules |= before


def _forget_partial_imports() -> None:
    """Removes the modules that a failed import left behind, so that the ordinary import starts from nothing."""
    for name in [name for name in sys.modules if name == PACKAGES[0] or name.startswith(f"{PACKAGES[0]}.")]:
        del sys.modules[name]


try:
    with _empty_packages() as client:
        from kubernetes_asyncio.client.configuration import Configuration

        # kubernetes_asyncio.config imports these two names from the package, which is empty here. Only functions that
        # the agent does not call use ApiClient, whose module loads multiprocessing (0.8 MB, 2026-11).
        vars(client).update(ApiClient=object, Configuration=Configuration)
        from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config
        from kubernetes_asyncio.config.incluster_config import SERVICE_TOKEN_FILENAME
except (ImportError, AttributeError, KeyError) as error:
    log.warning(
        "kubernetes-asyncio was imported with all its generated modules, which needs about 34 MB more",
        extra={"reason": f"{type(error).__name__}: {error}"},
    )
    _forget_partial_imports()
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config
    from kubernetes_asyncio.config.incluster_config import SERVICE_TOKEN_FILENAME

__all__ = [
    "SERVICE_TOKEN_FILENAME",
    "ConfigException",
    "Configuration",
    "load_incluster_config",
    "load_kube_config",
]
