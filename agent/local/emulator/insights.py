"""Evaluates Logs Insights queries, as far as saved queries for alerts need them: on stored events, without an index.

The commands are `source` (ignored), `fields`, `filter`, `stats … by`, `dedup`, `sort` and `limit`. The steps of a query
run in its order, each on the rows of the step before. Anything else is refused with MalformedQueryException. Parsing
lives in `insights_syntax`; this module turns parsed commands into functions on rows.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from itertools import islice
from math import prod
from typing import Protocol

import orjson

from agent.local.emulator.insights_syntax import (
    And,
    Arithmetic,
    Command,
    Comparison,
    Dedup,
    Expression,
    Field,
    Fields,
    Filter,
    In,
    IsPresent,
    Length,
    Like,
    Limit,
    Not,
    Now,
    Number,
    Or,
    Product,
    Sort,
    Stats,
    Sum,
    parse,
)

MAX_FIELDS = 200
"""Insights discovers at most this many fields of a JSON event (user guide, read 2026-11)."""

Row = Mapping[str, object]
Step = Callable[[list[Row]], list[Row]]


class Event(Protocol):
    """An event as the embedded CloudWatch stores it."""

    @property
    def timestamp(self) -> int: ...
    @property
    def message(self) -> bytes: ...
    @property
    def ingested(self) -> int: ...
    @property
    def stream(self) -> str: ...


def run_query(query: str, events: Iterable[Event], *, now: float | None = None) -> list[Row]:
    """The rows of the result. Raises MalformedQueryException for a query that this module does not understand.

    `now`: the time of the query in seconds since 1970; None: the present.
    """
    steps = [_step(command, time.time() if now is None else now) for command in parse(query)]
    rows = [row_of(event) for event in events]
    for step in steps:
        rows = step(rows)
    return rows


def row_of(event: Event) -> Row:
    """The fields that Insights discovers: `@timestamp` and its siblings, and a JSON event's values by dotted path."""
    row: dict[str, object] = {
        "@timestamp": event.timestamp,
        "@ingestionTime": event.ingested,
        "@logStream": event.stream,
        "@message": event.message.decode(errors="replace"),
    }
    try:
        value = orjson.loads(event.message)
    except orjson.JSONDecodeError:
        return row
    if isinstance(value, dict):
        for name, found in islice(_leaves("", value), MAX_FIELDS):
            row.setdefault(name, found)
    return row


def _leaves(prefix: str, value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{prefix}.{index}", inner)
    elif value is not None:
        yield prefix, value


def _step(command: Command, now: float) -> Step:
    match command:
        case Fields(columns):
            return lambda rows: [{**row, **_computed(columns, row)} for row in rows]
        case Filter(expression):
            holds = _condition(expression, now)
            return lambda rows: [row for row in rows if holds(row)]
        case Stats():
            return lambda rows: _aggregated(command, rows)
        case Dedup(names):
            return lambda rows: _first_of_each(names, rows)
        case Sort(name, descending):
            return lambda rows: _sorted(rows, name, descending)
        case Limit(number):
            return lambda rows: rows[:number]


def _computed(columns: Iterable[tuple[Arithmetic, str]], row: Row) -> Row:
    return {shown: value for expression, shown in columns if (value := _value(expression, row)) is not None}


def _value(expression: Arithmetic, row: Row) -> object:
    """None where a field is missing or is no number."""
    match expression:
        case Number(value):
            return value
        case Field(name):
            return row.get(name)
        case Length(name):
            return len(str(row[name])) if name in row else None
        case Sum(parts):
            return _folded(sum, parts, row)
        case Product(parts):
            return _folded(prod, parts, row)


def _folded(fold: Callable[[list[float]], float], parts: Sequence[Arithmetic], row: Row) -> float | None:
    values = [_value(part, row) for part in parts]
    numbers = [value for value in values if isinstance(value, int | float)]
    return fold(numbers) if len(numbers) == len(values) else None


def _condition(expression: Expression, now: float) -> Callable[[Row], bool]:
    match expression:
        case And(parts):
            conditions = [_condition(part, now) for part in parts]
            return lambda row: all(condition(row) for condition in conditions)
        case Or(parts):
            conditions = [_condition(part, now) for part in parts]
            return lambda row: any(condition(row) for condition in conditions)
        case Not(part):
            condition = _condition(part, now)
            return lambda row: not condition(row)
        case IsPresent(name):
            return lambda row: name in row
        case In(name, values):
            return lambda row: row.get(name) in values
        case Like(name, pattern):
            found = re.compile(pattern)
            return lambda row: name in row and found.search(str(row[name])) is not None
        case Comparison(name, operator, value):
            compare = _OPERATORS[operator]
            if isinstance(value, Now):
                value = int(now) * value.factor + value.offset
            # AWS does not document `!=` on a missing field. Taken as true, which hides no event.
            return lambda row: compare(row[name], value) if name in row else operator == "!="


def _ordered(left: object, right: object) -> int | None:
    """-1, 0 or 1; None where the values cannot be compared. A number and a string of digits compare as numbers."""
    if isinstance(left, bool) or isinstance(right, bool):
        left, right = str(left).lower(), str(right).lower()
    if isinstance(left, int | float) != isinstance(right, int | float):
        try:
            left, right = float(str(left)), float(str(right))
        except ValueError:
            return None
    if isinstance(left, int | float) and isinstance(right, int | float):
        return (left > right) - (left < right)
    return (str(left) > str(right)) - (str(left) < str(right))


_OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "=": lambda left, right: _ordered(left, right) == 0,
    "!=": lambda left, right: _ordered(left, right) != 0,
    "<": lambda left, right: _ordered(left, right) == -1,
    "<=": lambda left, right: _ordered(left, right) in (-1, 0),
    ">": lambda left, right: _ordered(left, right) == 1,
    ">=": lambda left, right: _ordered(left, right) in (0, 1),
}


def _aggregated(stats: Stats, rows: Sequence[Row]) -> list[Row]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in stats.by), []).append(row)
    if not stats.by:
        groups = groups or {(): []}
    return [
        {name: value for name, value in zip(stats.by, key, strict=True) if value is not None}
        | {each.shown: _AGGREGATES[each.function](each.name, members) for each in stats.aggregates}
        for key, members in groups.items()
    ]


def _values(name: str, rows: Sequence[Row]) -> list[object]:
    return [row[name] for row in rows if name in row]


def _count(name: str, rows: Sequence[Row]) -> object:
    return len(rows) if name == "*" else len(_values(name, rows))


def _edge(name: str, rows: Sequence[Row], *, last: bool) -> object:
    present = [row for row in rows if name in row]
    if not present:
        return None
    return (max if last else min)(present, key=lambda row: int(str(row["@timestamp"])))[name]


def _numbers(name: str, rows: Sequence[Row]) -> list[float]:
    return [value for value in _values(name, rows) if isinstance(value, int | float)]


_AGGREGATES: dict[str, Callable[[str, Sequence[Row]], object]] = {
    "count": _count,
    "count_distinct": lambda name, rows: len(set(_values(name, rows))),
    "latest": lambda name, rows: _edge(name, rows, last=True),
    "earliest": lambda name, rows: _edge(name, rows, last=False),
    "max": lambda name, rows: max(_numbers(name, rows), default=None),
    "min": lambda name, rows: min(_numbers(name, rows), default=None),
    "sum": lambda name, rows: sum(_numbers(name, rows)),
}


def _first_of_each(names: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """The first row of each combination of values. Rows without one of the fields are all kept."""
    seen: set[tuple[object, ...]] = set()
    kept = []
    for row in rows:
        key = tuple(row.get(name) for name in names)
        if None in key or key not in seen:
            kept.append(row)
        seen.add(key)
    return kept


def _sorted(rows: Sequence[Row], name: str, descending: bool) -> list[Row]:
    """Rows without the field come last."""
    present, missing = [row for row in rows if name in row], [row for row in rows if name not in row]
    order = cmp_to_key(lambda left, right: _ordered(left, right) or 0)
    return sorted(present, key=lambda row: order(row[name]), reverse=descending) + missing
