"""Removes the parts of two SDKs that the agent does not use: `python trim_sdk.py SITE_PACKAGES`.

botocore contains the API models of 430 services. This script keeps the services that provide credentials, and of
CloudWatch Logs and KMS the operations that the agent calls. It removes the documentation from the kept models.
It compiles the generated classes of the Kubernetes client to bytecode without docstrings, and removes their sources.

Needs only the standard library, because the Python of the base image has no other packages. Run it with the Python of
the image: only that version can load the bytecode.
"""

from __future__ import annotations

import gzip
import json
import py_compile
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SERVICES = ("logs", "kms", "sts", "sso", "sso-oidc", "signin")
"""CloudWatch Logs, KMS for signed seals, then the services of botocore's credentials chain: STS, IAM Identity Center,
`aws login`."""

OPERATIONS = {
    "logs": frozenset(
        {
            "CreateLogGroup",
            "CreateLogStream",
            "DescribeLogGroups",
            "FilterLogEvents",
            "GetLogEvents",
            "PutLogEvents",
            "PutRetentionPolicy",
        }
    ),
    "kms": frozenset({"Sign", "Verify"}),
}
"""The operations that the agent calls (test_trim_sdk.py compares). The client of CloudWatch Logs with all 118 needs
1.5 MB more."""

GENERATED = ("kubernetes_asyncio/client/api", "kubernetes_asyncio/client/models")
"""700 modules that the client imports all at once. Documentation is more than half of their text."""

_DOCUMENTATION = frozenset({"documentation", "documentationUrl", "examples", "exampleId"})
_UNUSED_FILES = frozenset({"examples-1.json", "waiters-2.json", "completions-1.json", "resources-1.json"})


def trim(site_packages: Path) -> None:
    trim_botocore(site_packages / "botocore" / "data")
    for folder in GENERATED:
        compile_without_sources(site_packages / folder)


def trim_botocore(data: Path) -> None:
    """Trims the `data` directory of botocore in place. Raises FileNotFoundError if a model is missing that we need."""
    for service in SERVICES[:3]:
        if not (data / service).is_dir():
            raise FileNotFoundError(f"{data / service} is missing: adapt trim_sdk.py to this version of botocore")
    for entry in sorted(data.iterdir()):
        if not entry.is_dir():
            continue
        if entry.name in SERVICES:
            _trim_service(entry)
        else:
            shutil.rmtree(entry)
    endpoints = next(data.glob("endpoints.json*"))
    _write(endpoints, _only_kept_services(_read(endpoints)))


def copy_trimmed_botocore(data: Path, target: Path) -> None:
    """Writes the trimmed models of botocore's `data` directory to `target`, and leaves `data` unchanged."""
    for service in SERVICES:
        shutil.copytree(data / service, target / service)
    shutil.copy(next(data.glob("endpoints.json*")), target)
    trim_botocore(target)


def compile_without_sources(folder: Path) -> None:
    """Compiles each `module.py` to `module.pyc`, and removes the source. Raises FileNotFoundError without sources."""
    sources = sorted(folder.rglob("*.py"))
    if not sources:
        raise FileNotFoundError(f"{folder} has no modules: adapt trim_sdk.py to this version of the client")
    for source in sources:
        shown = str(source.relative_to(folder.parents[2]))
        py_compile.compile(str(source), str(source.with_suffix(".pyc")), shown, doraise=True, optimize=2)
        source.unlink()


def _trim_service(folder: Path) -> None:
    for path in sorted(folder.rglob("*.json*")):
        if path.name.removesuffix(".gz") in _UNUSED_FILES:
            path.unlink()
        else:
            content = _undocumented(_read(path))
            if path.name.startswith("service-2.json") and folder.name in OPERATIONS:
                content = _only_operations(content, OPERATIONS[folder.name])
            _write(path, content)


def _only_operations(model: dict[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    """The model with these operations, and with the shapes that they use."""
    operations = {name: model["operations"][name] for name in sorted(kept)}
    shapes: dict[str, Any] = {}
    left = [*_shapes_in(operations)]
    while left:
        name = left.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            left += _shapes_in(shapes[name])
    return model | {"operations": operations, "shapes": shapes}


def _shapes_in(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _shapes_in(each)
    elif isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for each in node.values():
            yield from _shapes_in(each)


def _undocumented(node: Any) -> Any:
    """Removes documentation, which is text or a list. A field named `documentation` is an object, and is kept."""
    if isinstance(node, list):
        return [_undocumented(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _undocumented(value)
        for key, value in node.items()
        if not (key in _DOCUMENTATION and isinstance(value, str | list))
    }


def _only_kept_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in _endpoint_names() if name in services}
    return endpoints


def _endpoint_names() -> tuple[str, ...]:
    """endpoints.json lists IAM Identity Center under the prefixes of its endpoints."""
    return (*SERVICES, "portal.sso", "oidc")


def _read(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def _write(path: Path, content: Any) -> None:
    """Writes uncompressed JSON: botocore looks for that first, and image layers are compressed anyway."""
    path.unlink()
    path.with_name(path.name.removesuffix(".gz")).write_text(json.dumps(content, separators=(",", ":")))


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
