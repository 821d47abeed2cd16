"""A problem in one line: where, which value, from where, what was expected.

Turns pydantic's findings into sentences that name settings as a person writes them, and proposes the
likely name for an unknown one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

LONGEST_VALUE = 120

_EXPECTATIONS = {
    "model_type": "expected a mapping of settings",
    "model_attributes_type": "expected a mapping of settings",
    "dict_type": "expected a mapping",
    "list_type": "expected a list",
    "string_type": "expected text; put it in quotes",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "path_type": "expected a path",
    "int_parsing_size": "expected a valid integer",
}
_UNKNOWN = frozenset({"extra_forbidden", "invalid_key"})
WHOLE_SENTENCES = "names"
"""The type of a finding whose message is complete: one line each."""


def explain(model: type[BaseModel], detail: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    """The lines for one of pydantic's findings."""
    if detail["type"] == WHOLE_SENTENCES:
        return str(detail["msg"]).splitlines()
    path = [str(part) for part in detail["loc"]]
    dotted = ".".join(path).removesuffix(".[key]")
    source = _source_of(dotted, sources)
    origin = f" (from {source})" if source else ""
    if detail["type"] in _UNKNOWN:
        section = section_at(model, path[:-1])
        return [f"{dotted}{origin}: unknown setting; {_hint(path[-1], list(section.model_fields) if section else [])}"]
    return [f"{dotted} = {shown(detail['input'])}{origin}: {_expectation(detail)}"]


def unknown_variable(model: type[BaseModel], prefix: str, name: str) -> str:
    """For an environment variable that names no setting."""
    keys = name.removeprefix(prefix).lower()
    section = section_at(model, keys.split("__"))
    if section is not None:
        example = f"{name}__{next(iter(section.model_fields)).upper()}"
        return f"{name}: is a section; set its keys, such as {example}"
    known = {"__".join(path): path for path in leaves(model)}
    same_key = [joined for joined, path in known.items() if path[-1] == keys]
    likely = same_key[:1] or get_close_matches(keys, known, n=1)
    if likely:
        return f"{name}: unknown setting; did you mean {prefix}{likely[0].upper()}?"
    return f"{name}: unknown setting; `falcowatch check` lists those there are"


def shown(value: Any) -> str:
    """The value as one writes it, shortened in the middle when it is long."""
    text = repr(value)
    half = LONGEST_VALUE // 2
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]} … {text[-half:]}"


def section_at(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The model at a path of keys; None when there is none."""
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
    """Of the setting itself, of the map or list it stands in, or of any key of a section."""
    around = [key for key in sources if dotted == key or dotted.startswith(f"{key}.")]
    return sources[max(around, key=len)] if around else None


def _hint(key: str, keys: list[str]) -> str:
    likely = get_close_matches(key, keys, n=1)
    return f"did you mean {likely[0]}?" if likely else f"the keys here are {', '.join(keys)}"


def _expectation(detail: Mapping[str, Any]) -> str:
    known = _EXPECTATIONS.get(detail["type"])
    if known:
        return known
    message = str(detail["msg"]).removeprefix("Value error, ").partition(", unable to")[0]
    return re.sub(r"^(Input|String|Value|List|Dictionary) should (be|have) ", "expected ", message)
