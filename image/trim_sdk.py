"""Cuts the two SDKs of an installation down to what the agent uses: `python trim_sdk.py SITE_PACKAGES`.

botocore keeps the models of CloudWatch Logs and of the ways to credentials, of 430 services, without documentation;
all operations of a kept service stay. The Kubernetes client's generated classes become bytecode without docstrings and
sources. Needs nothing but the standard library, as it runs, with the Python it trims for, while an image is built.
"""

from __future__ import annotations

import gzip
import json
import py_compile
import shutil
import sys
from pathlib import Path
from typing import Any

SERVICES = ("logs", "sts", "sso", "sso-oidc", "signin")
"""The agent's own, then those of botocore's credentials chain: web identity and roles, IAM Identity Center, login."""

GENERATED = ("kubernetes_asyncio/client/api", "kubernetes_asyncio/client/models")
"""700 modules that the client imports as one, more than half of their text documentation."""

_DOCUMENTATION = frozenset({"documentation", "documentationUrl", "examples", "exampleId"})
_UNUSED_FILES = frozenset({"examples-1.json", "waiters-2.json", "completions-1.json", "resources-1.json"})


def trim(site_packages: Path) -> None:
    trim_botocore(site_packages / "botocore" / "data")
    for folder in GENERATED:
        compile_without_sources(site_packages / folder)


def trim_botocore(data: Path) -> None:
    """Raises FileNotFoundError when this is no botocore, or it lacks what must be kept."""
    for service in SERVICES[:2]:
        if not (data / service).is_dir():
            raise FileNotFoundError(f"{data / service}: this botocore keeps its models elsewhere; adapt trim_sdk.py")
    for entry in sorted(data.iterdir()):
        if not entry.is_dir():
            continue
        if entry.name in SERVICES:
            _trim_service(entry)
        else:
            shutil.rmtree(entry)
    endpoints = next(data.glob("endpoints.json*"))
    _write(endpoints, _of_our_services(_read(endpoints)))


def compile_without_sources(folder: Path) -> None:
    """`module.py` becomes `module.pyc`, which Python imports just so. Raises FileNotFoundError for an empty folder."""
    sources = sorted(folder.rglob("*.py"))
    if not sources:
        raise FileNotFoundError(f"{folder}: holds no modules; adapt trim_sdk.py")
    for source in sources:
        shown = str(source.relative_to(folder.parents[2]))
        py_compile.compile(str(source), str(source.with_suffix(".pyc")), shown, doraise=True, optimize=2)
        source.unlink()


def _trim_service(folder: Path) -> None:
    for path in sorted(folder.rglob("*.json*")):
        if path.name.removesuffix(".gz") in _UNUSED_FILES:
            path.unlink()
        else:
            _write(path, _undocumented(_read(path)))


def _undocumented(node: Any) -> Any:
    """`documentation` is text beside a shape; below `members` the same word may name a field and is kept."""
    if isinstance(node, list):
        return [_undocumented(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _undocumented(value)
        for key, value in node.items()
        if not (key in _DOCUMENTATION and isinstance(value, str | list))
    }


def _of_our_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in _endpoint_names() if name in services}
    return endpoints


def _endpoint_names() -> tuple[str, ...]:
    """Identity Center is filed under its endpoint's prefix."""
    return (*SERVICES, "portal.sso", "oidc")


def _read(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def _write(path: Path, content: Any) -> None:
    """Plain: the loader looks for it first, and image layers are compressed anyway."""
    path.unlink()
    path.with_name(path.name.removesuffix(".gz")).write_text(json.dumps(content, separators=(",", ":")))


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
