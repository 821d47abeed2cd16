"""Reads the YAML file into plain values, and reports errors in it with their line.

A key that appears twice is an error, because the YAML parser would silently use the last one. The size of the file, its
nesting and what its aliases expand to are bounded: a file of a few lines can expand to gigabytes.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

LARGEST_FILE_BYTES: Final = 1024 * 1024
"""A configuration with every setting is under 10 KiB."""

MOST_NODES: Final = 100_000
"""Values in the file, with every alias expanded."""

DEEPEST_NESTING: Final = 50
"""Levels of mappings and lists; the settings need three."""


def read_yaml(path: Path, problems: list[str], *, remedy: str) -> dict[str, Any]:
    """The mapping in the file. An error is added to `problems`, and the mapping is then empty."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); {remedy}")
        return {}
    except ValueError as error:
        problems.append(f"{str(path)!r}: is not a file name ({error}); {remedy}")
        return {}
    if len(content) > LARGEST_FILE_BYTES:
        problems.append(f"{path}: is larger than {LARGEST_FILE_BYTES} bytes, so it is not a configuration; {remedy}")
        return {}
    try:
        document = _parse(content)
    except _Refused as error:
        problems.append(f"{path}: is not a valid configuration ({error})")
        return {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it contains characters that are not UTF-8 text"
        if reason.startswith("could not determine a constructor for the tag '!"):
            reason = 'a text that begins with "!" must be in quotes'
        problems.append(f"{path}: is not valid YAML{place} ({reason})")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path}: contains a {type(document).__name__}; must be a mapping of settings")
        return {}
    return {_key_text(key): _with_text_keys(value) for key, value in document.items()}


class _Refused(Exception):
    """The file is YAML, but not a configuration."""


def _parse(content: bytes) -> Any:
    """Raises YAMLError or _Refused."""
    try:
        loader = _Loader(content)
        root = loader.get_single_node()
        if root is None:
            return None
        _expanded_nodes(root, {}, 0)
        return loader.construct_document(root)
    except RecursionError as error:
        raise _Refused(f"it is nested more than {DEEPEST_NESTING} levels deep") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # PyYAML's constructors of numbers and dates let these out: `2026-13-45`, an integer of 5000 digits.
        raise _Refused(f"a value cannot be read: {str(error)[:120]}") from error


def _expanded_nodes(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """The number of values in this part of the file, with every alias expanded. Raises _Refused beyond the bounds."""
    if depth > DEEPEST_NESTING:
        raise _Refused(f"it is nested more than {DEEPEST_NESTING} levels deep, or an alias contains itself")
    if (count := known.get(id(node))) is None:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        count = known[id(node)] = 1 + sum(_expanded_nodes(child, known, depth + 1) for child in children)
    if count > MOST_NODES:
        raise _Refused(f"its aliases expand to over {MOST_NODES} values")
    return count


def _with_text_keys(value: Any) -> Any:
    """The value with every key as text, so that a key that YAML reads as a number or a boolean can be reported."""
    if isinstance(value, dict):
        return {_key_text(key): _with_text_keys(inner) for key, inner in value.items()}
    return value


def _key_text(key: Hashable) -> str:
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    try:
        return str(key)
    except ValueError:
        return "a number of over 4300 digits"


class _Loader(yaml.SafeLoader):
    """Creates plain values only, and refuses a key that appears twice in a mapping."""

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
