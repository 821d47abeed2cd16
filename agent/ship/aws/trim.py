"""Cuts botocore's service models down to what we call: `python -m agent.ship.aws.trim DIRECTORY`, then AWS_DATA_PATH.

For building an image. The models come from the very botocore that is installed, so they cannot disagree with it, and
whatever is not in DIRECTORY is still found in botocore itself. It saves 11 MB of resident memory and 40 ms at start.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import botocore
import orjson

OPERATIONS = {
    "logs": (
        "PutLogEvents",
        "CreateLogGroup",
        "CreateLogStream",
        "PutRetentionPolicy",
        "DescribeLogGroups",
        "GetLogEvents",
    ),
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
}
ENDPOINTS = frozenset({"logs", "sts", "portal.sso", "oidc"})
"""The last two for profiles with single sign-on; their models stay botocore's."""


def write_trimmed_models(directory: Path) -> None:
    """Raises FileNotFoundError or KeyError when botocore's data is not laid out as expected."""
    source = Path(botocore.__file__).parent / "data"
    for service, operations in OPERATIONS.items():
        version = max((path for path in (source / service).iterdir() if path.is_dir()), key=lambda path: path.name)
        folder = directory / service / version.name
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "service-2.json", _trimmed(_read(version, "service-2"), operations))
        _write(folder / "endpoint-rule-set-1.json", _read(version, "endpoint-rule-set-1"))
    endpoints = _read(source, "endpoints")
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services.keys() & ENDPOINTS}
    _write(directory / "endpoints.json", endpoints)


def _trimmed(model: dict[str, Any], operations: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: model["operations"][name] for name in operations}
    shapes: dict[str, Any] = {}
    waiting = _shapes_named_in(kept)
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            waiting |= _shapes_named_in(shapes[name])
    trimmed: dict[str, Any] = _undocumented({**model, "operations": kept, "shapes": shapes})
    return trimmed


def _shapes_named_in(part: object) -> set[str]:
    if isinstance(part, dict):
        named = {part["shape"]} if isinstance(part.get("shape"), str) else set()
        return named.union(*map(_shapes_named_in, part.values()))
    if isinstance(part, list):
        return set().union(*map(_shapes_named_in, part))
    return set()


def _undocumented(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: _undocumented(value)
            for key, value in part.items()
            if key != "documentation" or not isinstance(value, str)  # a member may bear that name
        }
    return [_undocumented(item) for item in part] if isinstance(part, list) else part


def _read(folder: Path, name: str) -> dict[str, Any]:
    """botocore's wheels compress the models, its source tree does not."""
    packed = folder / f"{name}.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / f"{name}.json").read_bytes()
    model: dict[str, Any] = orjson.loads(text)
    return model


def _write(path: Path, model: dict[str, Any]) -> None:
    path.write_bytes(orjson.dumps(model))


if __name__ == "__main__":
    write_trimmed_models(Path(sys.argv[1]))
