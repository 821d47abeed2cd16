"""Writes a plan as the YAML of our configuration, with a comment for each option of Fluent Bit.

Every text from the input is printed without control characters, so that no value can end a comment or move the cursor.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from agent.core.redact import without_passwords
from agent.migrate.plan import Note, Plan, nested
from agent.settings.units import size_text

WIDTH: Final = 110
LONGEST_VALUE: Final = 120


def rendered(plan: Plan, source: str) -> str:
    """The text of the file. `source` is the name of the migrated file."""
    lines = [
        *_comment(f"The configuration of Falcowatch, made by `falcowatch migrate {source}`."),
        *_comment("Save it as config.yaml and try it with `falcowatch check --config config.yaml`. In the "
        "Helm chart, it goes "
                  "below `config`. The next steps are in docs/migration-from-fluent-bit.md."),
        *_list("Decide before you use it:", plan.todo),
        "",
        *_settings(plan),
        *_list("What Fluent Bit loses with its settings:", plan.lost),
        *_options(plan),
        *_list("Not on the way of Falco's alerts. Fluent Bit keeps them, if you need them:", plan.left),
    ]  # fmt: skip
    return "\n".join(map(_harmless, lines)) + "\n"


def _settings(plan: Plan) -> Iterator[str]:
    """The settings as YAML, each below the options that it comes from."""
    if not plan.settings:
        yield from _comment("Every setting has its default.")
        yield "{}"
        return
    for name, value in nested(plan.settings).items():
        if not isinstance(value, dict) or name in plan.settings:
            yield from _origins(plan, name, "")
            yield f"{name}: {_value(name, value)}"
            continue
        yield f"{name}:"
        for key, inner in value.items():
            yield from _origins(plan, f"{name}.{key}", "  ")
            yield f"  {key}: {_value(key, inner)}"


def _origins(plan: Plan, dotted: str, indent: str) -> Iterator[str]:
    for _, notes in plan.notes:
        for note in notes:
            if dotted in dict(note.outcome.settings):
                yield f"{indent}# {_line(note)}"


def _options(plan: Plan) -> Iterator[str]:
    yield ""
    yield from _comment("Each option of Fluent Bit, and its setting:")
    for section, notes in plan.notes:
        yield "#"
        yield f"# [{section.kind.upper()}] {section.plugin}".rstrip() + f" ({section.place})"
        for note in notes:
            yield f"#   {_line(note)}"
            yield from _comment(note.outcome.says, "#       ")


def _list(head: str, entries: list[str]) -> Iterator[str]:
    if not entries:
        return
    yield "#"
    yield from _comment(head)
    for entry in entries:
        first, *more = textwrap.wrap(_harmless(entry), WIDTH - 4, break_on_hyphens=False) or [""]
        yield f"# - {first}"
        yield from (f"#   {line}" for line in more)


def _comment(text: str, prefix: str = "# ") -> list[str]:
    return [prefix + line for line in textwrap.wrap(_harmless(text), WIDTH - len(prefix), break_on_hyphens=False)]


def _line(note: Note) -> str:
    value = note.option.value
    if len(value) > LONGEST_VALUE:
        value = f"{value[:LONGEST_VALUE]}…"
    return f"{note.option.place.line}: {note.option.name} {without_passwords(value)}"


def _value(key: str, value: Any) -> str:
    """JSON, which is YAML, too. A size in bytes is written with its unit."""
    if key.endswith("_bytes") and isinstance(value, int):
        return size_text(value)
    return json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
