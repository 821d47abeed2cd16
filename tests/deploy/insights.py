"""Evaluates the `filter` commands of a Logs Insights query on one event, as far as our queries use them.

These are comparisons of fields and strings with `=`, `!=` and `in`, `ispresent`, `and`, `or`, parentheses, and
comparisons of numbers with `now()` and `toMillis(@ingestionTime)`. Other commands do not select events.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r'\s*("[^"]*"|\d+|>=|!=|[=()\[\],*-]|@?[A-Za-z_][\w.]*)')
_WORDS = {"and", "or", "in", "(", ")", "[", "]", ",", "*", "-", ">=", "!="}


def selects(query: str, event: dict[str, Any], *, ingested_at: float | None = None) -> bool:
    """True if all filters of the query hold for the event. Raises SyntaxError for a filter that it does not know."""
    now = time.time()
    fields = dict(_flattened(event)) | {"@ingestionTime": now if ingested_at is None else ingested_at}
    functions = {
        "field": fields.get,
        "ispresent": lambda value: value is not None,
        "now": lambda: int(now),
        "toMillis": lambda seconds: int(seconds * 1000),
    }
    steps = (step.strip() for step in query.split("|"))
    filters = (step.removeprefix("filter ") for step in steps if step.startswith("filter "))
    return all(bool(eval(_python(each), {"__builtins__": {}}, functions)) for each in filters)


def _python(text: str) -> str:
    out = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise SyntaxError(text[at:])
        token, at = found[1], found.end()
        if token == "=":
            out.append("==")
        elif token in _WORDS or token[0] == '"' or token.isdigit() or token in ("ispresent", "toMillis", "now"):
            out.append(token)
        else:
            out.append(f"field({token!r})")
    return " ".join(out)


def _flattened(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flattened(inner, f"{prefix}{key}.")
        yield f"{prefix}{key}", inner
