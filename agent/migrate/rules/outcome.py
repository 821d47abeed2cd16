"""The outcome of one option, as values, and the form of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.migrate.document import Option, Section


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one option: settings and sentences. All texts are whole sentences."""

    says: str
    settings: tuple[tuple[str, Any], ...] = ()
    """Settings of Falcowatch: dotted path and value."""
    lost: str = ""
    """What Fluent Bit loses with this value. Empty: nothing."""
    todo: str = ""
    """What the user must decide or do. Empty: nothing."""


Rule = Callable[[Option, Section], Outcome]
"""`Section` is the section of the option, for a rule that depends on another option of the same plugin."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one plugin."""

    by_key: Mapping[str, Rule]
    by_prefix: Mapping[str, Rule]
    absent: Mapping[str, str]
    """What Fluent Bit loses when the section does not have this option, and so its default applies."""
    harmless: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Options whose absence loses nothing when another option has one of these values."""


def fixed(says: str, *, lost: str = "", todo: str = "") -> Rule:
    """The rule for an option whose value does not matter."""
    outcome = Outcome(says, lost=lost, todo=todo)
    return lambda _option, _section: outcome


def becomes(dotted: str, value: Any, says: str = "") -> Outcome:
    """The outcome for an option that is one setting of ours."""
    return Outcome(says or f"Becomes {dotted}.", ((dotted, value),))


ON = ("on", "true", "yes", "1")


def is_on(value: str) -> bool:
    """Fluent Bit's booleans."""
    return value.strip().lower() in ON
