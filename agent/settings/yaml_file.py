"""Reads the YAML file into plain values, and says what is wrong with it and where.

A key that stands twice is refused: YAML parsers keep the last and drop the first without a word.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path, problems: list[str], *, remedy: str) -> dict[str, Any]:
    """The mapping in the file; what is wrong goes to `problems`, and then the mapping is empty."""
    try:
        # The loader is yaml's safe one, which makes plain values only.
        document = yaml.load(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); {remedy}")
        return {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problems.append(f"{path}: is no YAML{where} ({getattr(error, 'problem', None) or 'unreadable characters'})")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path}: holds a {type(document).__name__}; expected a mapping of settings")
        return {}
    return {str(key): _with_text_keys(value) for key, value in document.items()}


def _with_text_keys(value: Any) -> Any:
    """Settings are named by text: a key that YAML takes for a number or a truth is told by its name too."""
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
                        None, None, f"{key.value!r} stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
