"""kubernetes-asyncio's configuration and transport, without the 700 generated modules that its packages import.

Those are classes for every kind of object and call there is; the agent builds none of them, and they would cost every
node 34 MB and a fifth of a second of CPU at each start (release 36.1, measured 2026-11).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

_IMPORT_ALL: Final = ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models")


@contextmanager
def _packages_that_import_nothing() -> Iterator[ModuleType]:
    """Meanwhile modules of these packages can be imported one by one. Who comes later finds the packages whole."""
    spec = find_spec(_IMPORT_ALL[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("kubernetes-asyncio is not installed; install falcowatch with its dependencies")
    before: dict[str, ModuleType] = {name: sys.modules.pop(name) for name in _IMPORT_ALL if name in sys.modules}
    for name in _IMPORT_ALL:
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(Path(spec.origin).parents[1].joinpath(*name.split(".")))]
    try:
        yield sys.modules["kubernetes_asyncio.client"]
    finally:
        for name in _IMPORT_ALL:
            del sys.modules[name]
        sys.modules |= before


with _packages_that_import_nothing() as client:
    from kubernetes_asyncio.client.api_client import ApiClient
    from kubernetes_asyncio.client.configuration import Configuration

    # What follows asks the package for these two by name.
    vars(client).update(ApiClient=ApiClient, Configuration=Configuration)
    from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config
    from kubernetes_asyncio.config.incluster_config import SERVICE_TOKEN_FILENAME

__all__ = [
    "SERVICE_TOKEN_FILENAME",
    "ApiClient",
    "ConfigException",
    "Configuration",
    "load_incluster_config",
    "load_kube_config",
]
