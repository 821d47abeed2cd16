"""CloudWatch's filter patterns, for readers of alerts: terms, phrases and JSON conditions.

Examples: `ERROR -debug "two words"`, `?ERROR ?WARN`, `{ $.priority = "Crit*" && $.output_fields['evt.num'] >= 5 }`.
Regular expressions and space-delimited patterns are not implemented and are refused with a message that says so.
"""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

import orjson

from agent.local.emulator.replies import ServiceError, invalid_parameter

Matches = Callable[[bytes], bool]
Condition = Callable[[object], bool]

_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\w+))(?=\s|$)')
_TOKEN = re.compile(
    r"""\s*(?:(?P<selector>\$(?:\.?[\w-]+|\.?\[(?:'[^']*'|"[^"]*"|\d+)\])*)"""
    r"""|(?P<op>&&|\|\||!=|<=|>=|=|<|>|\(|\))"""
    r"""|"(?P<text>(?:[^"\\]|\\.)*)\""""
    r"""|(?P<word>[\w.*+-]+))\s*"""
)
_STEP = re.compile(r"""\.?\[(?:'([^']*)'|"([^"]*)"|(\d+))\]|\.?([\w-]+)""")
_MISSING = object()


def matcher(pattern: str) -> Matches | None:
    """The test of a pattern, or None when every event matches. Raises InvalidParameterException for an invalid one."""
    pattern = pattern.strip()
    if not pattern:
        return None
    if pattern.startswith("{"):
        return _json_matcher(pattern)
    if pattern.startswith("[") or "%" in re.sub(r'"[^"]*"', "", pattern):
        raise _invalid(pattern, "the embedded CloudWatch has no regular expressions and no space-delimited patterns")
    return _term_matcher(pattern)


def _term_matcher(pattern: str) -> Matches:
    terms: dict[str, list[bytes]] = {"": [], "-": [], "?": []}
    at = 0
    while at < len(pattern):
        found = _TERM.match(pattern, at)
        if found is None:
            raise _invalid(pattern, f"terms with other characters than letters and digits need quotes, at {at}")
        phrase = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        terms[found[1]].append(phrase.encode())
        at = found.end()
    required, excluded, optional = terms[""], terms["-"], terms["?"]
    if required:
        optional = []  # AWS ignores ?terms when there are plain terms

    def matches(message: bytes) -> bool:
        return (
            all(term in message for term in required)
            and not any(term in message for term in excluded)
            and (not optional or any(term in message for term in optional))
        )

    return matches


def _json_matcher(pattern: str) -> Matches:
    if not pattern.endswith("}"):
        raise _invalid(pattern, "it does not end with }")
    condition = _JsonParser(pattern).parse()

    def matches(message: bytes) -> bool:
        try:
            return condition(orjson.loads(message))
        except orjson.JSONDecodeError:
            return False

    return matches


class _JsonParser:
    """A recursive descent parser; the levels are or, and, comparison."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        inner, at = pattern[1:-1], 0
        self._tokens: list[tuple[str, str]] = []
        while at < len(inner.rstrip()):
            found = _TOKEN.match(inner, at)
            if found is None or found.lastgroup is None:
                raise _invalid(pattern, f"unexpected text at {at + 1}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._next = 0

    def parse(self) -> Condition:
        condition = self._either()
        if self._next != len(self._tokens):
            raise self._unexpected()
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("op", "||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._take("op", "&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)

    def _one(self) -> Condition:
        if self._take("op", "("):
            condition = self._either()
            if not self._take("op", ")"):
                raise self._unexpected()
            return condition
        path = _path(self._expect("selector"))
        if self._take("word", "NOT"):
            if not self._take("word", "EXISTS"):
                raise self._unexpected()
            return lambda value: _at(value, path) is _MISSING
        if self._take("word", "IS"):
            word = self._expect("word")
            constant = {"TRUE": True, "FALSE": False, "NULL": None}.get(word, _MISSING)
            if constant is _MISSING:
                raise self._unexpected()
            return lambda value: _at(value, path) is constant
        compared = self._comparison(self._expect("op"))
        return lambda value: compared(_at(value, path))

    def _comparison(self, op: str) -> Condition:
        kind, operand = self._tokens[self._next] if self._next < len(self._tokens) else ("", "")
        if kind not in ("text", "word") or op not in ("=", "!=", "<", "<=", ">", ">="):
            raise self._unexpected()
        self._next += 1
        number = _number(operand) if kind == "word" else None
        if op in ("=", "!="):
            equal = _equals_text(re.sub(r"\\(.)", r"\1", operand)) if number is None else _equals_number(number)
            if op == "=":
                return equal
            return lambda value: value is not _MISSING and not equal(value)
        if number is None:
            raise _invalid(self._pattern, f"{op} needs a number, not {operand!r}")
        least = number
        match op:
            case "<":
                return lambda value: _is_number(value) and value < least  # type: ignore[operator]
            case "<=":
                return lambda value: _is_number(value) and value <= least  # type: ignore[operator]
            case ">":
                return lambda value: _is_number(value) and value > least  # type: ignore[operator]
            case _:
                return lambda value: _is_number(value) and value >= least  # type: ignore[operator]

    def _take(self, kind: str, text: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next] == (kind, text):
            self._next += 1
            return True
        return False

    def _expect(self, kind: str) -> str:
        if self._next == len(self._tokens) or self._tokens[self._next][0] != kind:
            raise self._unexpected()
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _unexpected(self) -> ServiceError:
        seen = self._tokens[self._next][1] if self._next < len(self._tokens) else "its end"
        return _invalid(self._pattern, f"unexpected {seen}")


def _path(selector: str) -> list[str | int]:
    return [
        int(found[3])
        if found[3] is not None
        else next(part for part in (found[1], found[2], found[4]) if part is not None)
        for found in _STEP.finditer(selector, 1)
    ]


def _at(value: object, path: Sequence[str | int]) -> object:
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step, _MISSING)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return _MISSING
    return value


def _equals_text(wanted: str) -> Condition:
    if "*" not in wanted:
        return lambda value: value == wanted if isinstance(value, str) else False
    wildcard = re.compile(translate(re.sub(r"([?\[])", r"[\1]", wanted)))
    return lambda value: isinstance(value, str) and wildcard.match(value) is not None


def _equals_number(wanted: float) -> Condition:
    return lambda value: _is_number(value) and value == wanted


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invalid(pattern: str, reason: str) -> ServiceError:
    return invalid_parameter(f"Invalid filter pattern: {pattern!r}: {reason}")
