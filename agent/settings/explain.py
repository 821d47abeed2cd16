"""Turns pydantic's errors into one line each: path, value, source and expectation.

Settings are named as people write them. For an unknown name the most similar known name is proposed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from agent.core.redact import MASK, without_passwords
from agent.settings.units import duration_text, size_text

LONGEST_VALUE = 120
SECRETS = frozenset({"cloudwatch.external_id"})
"""Settings whose values are never printed."""


_EXPECTATIONS = {
    "model_type": "must be a mapping of settings",
    "model_attributes_type": "must be a mapping of settings",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "literal_error": "must be one of {expected}",
}
"""Type of pydantic's error → expectation, filled in with the error's context."""
_UNKNOWN = frozenset({"extra_forbidden", "invalid_key"})
WHOLE_SENTENCES = "names"
"""Type of an error whose message consists of complete lines."""


def explain(model: type[BaseModel], detail: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    """The lines for one of pydantic's errors."""
    if detail["type"] == WHOLE_SENTENCES:
        return str(detail["msg"]).splitlines()
    path = [str(part) for part in detail["loc"]]
    dotted = ".".join(path).removesuffix(".[key]")
    source = _source_of(dotted, sources)
    origin = f" (from {source})" if source else ""
    if detail["type"] in _UNKNOWN:
        section = section_at(model, path[:-1])
        keys = list(section.model_fields) if section else []
        return [f"{_printable_key(dotted)}{origin}: is not a setting; {_hint(path[-1], keys)}"]
    value = MASK if dotted in SECRETS else shown(detail["input"])
    return [f"{dotted} = {value}{origin}: {_expectation(detail)}"]


def unknown_variable(model: type[BaseModel], prefix: str, name: str) -> str:
    """The line for an environment variable that names no setting."""
    keys = name.removeprefix(prefix).lower()
    section = section_at(model, keys.split("__"))
    if section is not None:
        example = f"{name}__{next(iter(section.model_fields)).upper()}"
        return f"{name}: is a section, not a setting; set one of its keys, such as {example}"
    known = {"__".join(path): path for path in leaves(model)}
    same_key = [joined for joined, path in known.items() if path[-1] == keys]
    likely = same_key[:1] or get_close_matches(keys, known, n=1)
    if likely:
        return f"{name}: is not a setting; did you mean {prefix}{likely[0].upper()}?"
    return f"{name}: is not a setting; `falcowatch check` lists all settings"


def shown(value: Any) -> str:
    """The value in quotes if it is text, without passwords in URLs, and shortened in the middle when it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = without_passwords(repr(value))
    except (ValueError, RecursionError):
        # repr refuses a number of over 4300 digits.
        text = f"a value of type {type(value).__name__} that is too large to print"
    half = LONGEST_VALUE // 2
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]} … {text[-half:]}"


def _printable_key(dotted: str) -> str:
    return dotted if dotted.isprintable() and len(dotted) <= LONGEST_VALUE else shown(dotted)


def printable(dotted: str, value: Any) -> str:
    """The value of a setting as people write it, without secrets: `16MiB`, `30s`, `true`, `["*"]`, `not set`."""
    if value and dotted in SECRETS:
        return MASK
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return without_passwords(json.dumps(value, default=str, ensure_ascii=False))
    if isinstance(value, int | float) and dotted.endswith(("_bytes", "_seconds")):
        return size_text(int(value)) if dotted.endswith("_bytes") else duration_text(value)
    return without_passwords(f"{value:g}" if isinstance(value, float) else str(value))


def section_at(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The model of the section at this path; None when there is no such section."""
    for key in path:
        field = model.model_fields.get(key)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        model = field.annotation
    return model


def leaves(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each setting."""
    for name in model.model_fields:
        section = section_at(model, [name])
        if section is None:
            yield (*above, name)
        else:
            yield from leaves(section, (*above, name))


def _source_of(dotted: str, sources: Mapping[str, str]) -> str | None:
    """The source of the setting, or of the map or list that contains it."""
    around = [key for key in sources if dotted == key or dotted.startswith(f"{key}.")]
    return sources[max(around, key=len)] if around else None


def _hint(key: str, keys: list[str]) -> str:
    likely = get_close_matches(key, keys, n=1)
    return f"did you mean {likely[0]}?" if likely else f"the keys of this section are {', '.join(keys)}"


def _expectation(detail: Mapping[str, Any]) -> str:
    if known := _EXPECTATIONS.get(detail["type"]):
        with suppress(KeyError, ValueError, OverflowError):
            return known.format(**detail.get("ctx", {}))
    message = str(detail["msg"]).removeprefix("Value error, ").partition(", unable to")[0]
    return re.sub(r"^(Input|String|Value|List|Dictionary) should ", "must ", message)
