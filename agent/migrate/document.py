"""A configuration of Fluent Bit as values: sections, their options, and the place of each in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agent.errors import SettingsError

MOST_OPTIONS: Final = 20_000
"""More than any real configuration has. It bounds the output for a file that is made to be large."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Option:
    """One line `name value` of a section. Fluent Bit does not distinguish upper and lower case in a name."""

    name: str
    value: str
    place: Place

    @property
    def key(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Section:
    """One `[INPUT]` or the like. `kind` is in lower case: service, input, filter, output, parser and others."""

    kind: str
    place: Place
    options: tuple[Option, ...] = ()

    def get(self, key: str) -> str | None:
        """The value of the first option with this name, or None."""
        return next((option.value for option in self.options if option.key == key), None)

    @property
    def plugin(self) -> str:
        """The name of the plugin, such as `tail`. Empty when the section does not name one."""
        return (self.get("name") or "").lower()


@dataclass(frozen=True, slots=True)
class Document:
    """The sections of all files in their order, and the variables that the files set."""

    sections: tuple[Section, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def of_kind(self, kind: str) -> Iterator[Section]:
        return (section for section in self.sections if section.kind == kind)


def joined(documents: list[Document]) -> Document:
    """One document from several, for example from a file and those that it includes."""
    sections = tuple(section for document in documents for section in document.sections)
    if sum(len(section.options) for section in sections) > MOST_OPTIONS:
        raise refusal(sections[0].place, f"the configuration has more than {MOST_OPTIONS} options")
    return Document(sections, tuple(variable for document in documents for variable in document.variables))


def refusal(place: Place, reason: str) -> SettingsError:
    """The error for a configuration that cannot be read, with the file and the line."""
    return SettingsError([f"{place}: {reason}"])
