"""Parses the classic format of Fluent Bit: sections in brackets, indented lines `name value`, `@INCLUDE` and `@SET`.

The rules are those of `src/config_format/flb_cf_fluentbit.c` (fluent/fluent-bit, read 2026-11). Indentation is not
checked: a configuration that Fluent Bit refuses for its indentation can still be migrated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from agent.migrate.document import Document, Option, Place, Section, joined, refusal

Include = Callable[[str, Place], Document]
"""Reads the files of an `@INCLUDE` line."""

_SECTION: Final = re.compile(r"\[([^\]]*)\]")
_INCLUDE: Final = re.compile(r"@include\s+(.*)", re.IGNORECASE)
_SET: Final = re.compile(r"@set\s+([^=\s]+)\s*=(.*)", re.IGNORECASE)


def is_classic(text: str) -> bool:
    """Whether a line begins with a bracket or a command, which no YAML file of Fluent Bit has."""
    return re.search(r"^(\[|@)[A-Za-z]", text, re.MULTILINE) is not None


def parse(text: str, file: str, include: Include) -> Document:
    """The document of this file and of those that it includes. Raises SettingsError with file and line."""
    parts: list[Document] = []
    section: Section | None = None
    options: list[Option] = []
    group = ""

    def close() -> None:
        if section is not None:
            parts.append(Document((Section(section.kind, section.place, tuple(options)),)))
        options.clear()

    for number, line in enumerate(text.split("\n"), start=1):
        place = Place(file, number)
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if line.startswith("@"):
            command = _command(stripped, place, include)
            if command.sections:
                close()
                section = None
            parts.append(command)
        elif stripped.startswith("["):
            header = _SECTION.match(stripped)
            if header is None:
                raise refusal(place, "the section has no closing bracket; write it as [INPUT]")
            if line.startswith("["):
                close()
                section, group = Section(header[1].strip().lower(), place), ""
            else:
                group = f"{header[1].strip()}."
        elif section is None:
            raise refusal(
                place, f"{_shown(stripped)} is outside of a section; a section begins with a line like [INPUT]"
            )
        else:
            options.append(_option(stripped, group, place))
    close()
    return joined(parts)


def _command(line: str, place: Place, include: Include) -> Document:
    if match := _INCLUDE.match(line):
        return include(match[1].strip(), place)
    if match := _SET.match(line):
        return Document(variables=((match[1], match[2].strip()),))
    raise refusal(place, f"{_shown(line)} is not a command; Fluent Bit knows @INCLUDE FILE and @SET NAME=VALUE")


def _option(line: str, group: str, place: Place) -> Option:
    name, _, value = line.partition(" ") if " " in line else line.partition("\t")
    if not value.strip():
        raise refusal(place, f"{_shown(name)} has no value; write name and value with a space between them")
    # A tab may separate them, too, when a space follows only later.
    name, *more = re.split(r"\s+", line, maxsplit=1)
    return Option(group + name, more[0].strip(), place)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
