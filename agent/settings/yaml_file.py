"""Reads the YAML file into plain values, and reports errors in it with their line.

A key that appears twice is an error, because the YAML parser would silently use the last one.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path, problems: list[str], *, remedy: str) -> dict[str, Any]:
    """The mapping in the file. An error is added to `problems`, and the mapping is then empty."""
    try:
        # _Loader is a SafeLoader, which creates plain values only.
        document = yaml.load(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); {remedy}")
        return {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it contains characters that are not UTF-8 text"
        problems.append(f"{path}: is not valid YAML{place} ({reason})")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path}: contains a {type(document).__name__}; must be a mapping of settings")
        return {}
    return {str(key): _with_text_keys(value) for key, value in document.items()}


def _with_text_keys(value: Any) -> Any:
    """The value with every key as text, so that a key that YAML reads as a number or a boolean can be reported."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return value


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} appears twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
