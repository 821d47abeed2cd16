"""Parses Logs Insights queries into values: one value a command, and expressions as trees.

It accepts only the syntax that the commands below need and raises MalformedQueryException for everything else, so that
a query of a manifest that this module misreads cannot look as if it worked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.local.emulator.replies import ServiceError

T = TypeVar("T")

AGGREGATES = frozenset({"count", "count_distinct", "latest", "earliest", "max", "min", "sum"})
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<regex>/(?:[^/\\]|\\.)+/)|(?P<quoted>`[^`]+`)"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?![\w.]))|(?P<name>[@\w][\w.@-]*)|(?P<sign>!=|<=|>=|[=<>()\[\],|*+-]))\s*"""
)


@dataclass(frozen=True, slots=True)
class Now:
    """`now() * factor + offset`, where now() is the time of the query in seconds since 1970."""

    factor: float = 1
    offset: float = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    name: str
    operator: str
    value: object


@dataclass(frozen=True, slots=True)
class In:
    name: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Like:
    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class IsPresent:
    name: str


@dataclass(frozen=True, slots=True)
class Not:
    part: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Expression", ...]


Expression = Comparison | In | Like | IsPresent | Not | And | Or


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Length:
    """`strlen` of a field: its characters."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    parts: tuple["Arithmetic", ...]


@dataclass(frozen=True, slots=True)
class Product:
    parts: tuple["Arithmetic", ...]


Arithmetic = Number | Field | Length | Sum | Product


@dataclass(frozen=True, slots=True)
class Fields:
    columns: tuple[tuple[Arithmetic, str], ...]
    """Each field or computed value, and the name under which it is shown."""


@dataclass(frozen=True, slots=True)
class Filter:
    expression: Expression


@dataclass(frozen=True, slots=True)
class Aggregate:
    function: str
    name: str
    shown: str


@dataclass(frozen=True, slots=True)
class Stats:
    aggregates: tuple[Aggregate, ...]
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dedup:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    name: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Limit:
    number: int


Command = Fields | Filter | Stats | Dedup | Sort | Limit


def parse(query: str) -> list[Command]:
    """The commands of a query in their order. Raises MalformedQueryException."""
    return _Parser(query).commands()


class _Parser:
    """A recursive descent parser over a list of tokens."""

    def __init__(self, query: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(query.rstrip()):
            found = _TOKEN.match(query, at)
            if found is None or found.lastgroup is None:
                raise _malformed(f"unexpected text at {at}: {query[at : at + 20]!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._next = 0

    def commands(self) -> list[Command]:
        found: list[Command] = []
        while True:
            word = self._name().lower()
            match word:
                case "source":
                    self._take("text")
                case "fields" | "display":
                    found.append(Fields(tuple(self._listed(self._column))))
                case "filter":
                    found.append(Filter(self._either()))
                case "stats":
                    aggregates = tuple(self._listed(self._aggregate))
                    found.append(Stats(aggregates, tuple(self._listed(self._name)) if self._word("by") else ()))
                case "dedup":
                    found.append(Dedup(tuple(self._listed(self._name))))
                case "sort":
                    name = self._name()
                    descending = self._word("desc")
                    if not descending:
                        self._word("asc")
                    found.append(Sort(name, descending))
                case "limit":
                    found.append(Limit(int(self._take("number"))))
                case _:
                    raise _malformed(f"the embedded CloudWatch has no command {word!r}")
            if self._next == len(self._tokens):
                return found
            self._sign("|")

    def _column(self) -> tuple[Arithmetic, str]:
        value = self._sum()
        if self._word("as"):
            return value, self._name()
        if isinstance(value, Field):
            return value, value.name
        raise _malformed(f"a computed value needs a name: write `as` before {self._rest()!r}")

    def _sum(self) -> Arithmetic:
        parts = [self._product()]
        while self._is_sign("+"):
            parts.append(self._product())
        return parts[0] if len(parts) == 1 else Sum(tuple(parts))

    def _product(self) -> Arithmetic:
        parts = [self._operand()]
        while self._is_sign("*"):
            parts.append(self._operand())
        return parts[0] if len(parts) == 1 else Product(tuple(parts))

    def _operand(self) -> Arithmetic:
        if self._is_sign("("):
            inner = self._sum()
            self._sign(")")
            return inner
        if self._peek() == "number":
            return Number(float(self._take("number")))
        name = self._name()
        if name.lower() != "strlen":
            return Field(name)
        self._sign("(")
        length = Length(self._name())
        self._sign(")")
        return length

    def _aggregate(self) -> Aggregate:
        function = self._name().lower()
        if function not in AGGREGATES:
            raise _malformed(f"the embedded CloudWatch has no aggregate {function!r}")
        self._sign("(")
        name = "*" if self._is_sign("*") else self._name()
        self._sign(")")
        return Aggregate(function, name, self._name() if self._word("as") else f"{function}({name})")

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Expression:
        if self._word("not"):
            return Not(self._one())
        if self._is_sign("("):
            inner = self._either()
            self._sign(")")
            return inner
        name = self._name()
        if name.lower() == "tomillis":  # the embedded CloudWatch keeps every time in milliseconds
            self._sign("(")
            name = self._name()
            self._sign(")")
        if name.lower() == "ispresent":
            self._sign("(")
            present = IsPresent(self._name())
            self._sign(")")
            return present
        if self._word("in"):
            self._sign("[")
            values = tuple(self._listed(self._value))
            self._sign("]")
            return In(name, values)
        if self._word("like"):
            return Like(name, self._pattern())
        operator = self._take("sign")
        if operator not in _COMPARISONS:
            raise _malformed(f"unexpected {operator!r} after {name}")
        return Comparison(name, operator, self._value())

    def _pattern(self) -> str:
        if self._peek() == "regex":
            return self._take("regex")[1:-1]
        return re.escape(_unquoted(self._take("text")))

    def _value(self) -> object:
        if self._word("now"):
            self._sign("(")
            self._sign(")")
            factor = self._number() if self._is_sign("*") else 1
            if self._is_sign("-"):
                return Now(factor, -self._number())
            return Now(factor, self._number() if self._is_sign("+") else 0)
        return self._number() if self._peek() == "number" else _unquoted(self._take("text"))

    def _number(self) -> float:
        text = self._take("number")
        return float(text) if "." in text else int(text)

    def _name(self) -> str:
        return self._take("quoted")[1:-1] if self._peek() == "quoted" else self._take("name")

    def _listed(self, one: Callable[[], T]) -> list[T]:
        found = [one()]
        while self._is_sign(","):
            found.append(one())
        return found

    def _word(self, word: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next][1].lower() == word
        self._next += found
        return found

    def _is_sign(self, sign: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next] == ("sign", sign)
        self._next += found
        return found

    def _sign(self, sign: str) -> None:
        if not self._is_sign(sign):
            raise _malformed(f"expected {sign!r} before {self._rest()!r}")

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self, kind: str) -> str:
        if self._peek() != kind:
            raise _malformed(f"expected a {kind} before {self._rest()!r}")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _rest(self) -> str:
        return " ".join(text for _, text in self._tokens[self._next : self._next + 3])


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _malformed(reason: str) -> ServiceError:
    return ServiceError("MalformedQueryException", f"The query cannot be read: {reason}")
