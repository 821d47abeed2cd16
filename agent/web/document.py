"""The answer to /status: the report, the verdict and the probes as one JSON document.

For scripts. It holds everything that the page shows, including derived values (`balanced`, `behind`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import orjson
from msgspec import Struct

from agent.web.report import Probe, Report
from agent.web.verdict import judge


def status_document(report: Report, health: Sequence[Probe], readiness: Sequence[Probe]) -> bytes:
    verdict = judge(report, [*health, *readiness])
    return orjson.dumps(
        _plain({"verdict": verdict, **_plain(report), "health": health, "readiness": readiness}),
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def _plain(value: Any) -> Any:
    """The value in types that JSON has. A file name may not be UTF-8, and a duration may be infinite."""
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Struct):
        derived = [name for name, member in vars(type(value)).items() if isinstance(member, property)]
        return {name: _plain(getattr(value, name)) for name in [*value.__struct_fields__, *derived]}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value
