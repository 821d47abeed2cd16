"""Finds the rule of an option, and the options whose absence loses alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.rules.cloudwatch import CLOUDWATCH, GO_PLUGIN
from agent.migrate.rules.filters import FILTERS
from agent.migrate.rules.kubernetes import KUBERNETES
from agent.migrate.rules.outcome import Outcome, Rules, fixed
from agent.migrate.rules.service import SERVICE
from agent.migrate.rules.tail import TAIL

CLOUDWATCH_PLUGINS: Final = frozenset({"cloudwatch", "cloudwatch_logs"})

_PLUGINS: Final[dict[tuple[str, str], Rules]] = {
    ("service", ""): SERVICE,
    ("input", "tail"): TAIL,
    ("filter", "kubernetes"): KUBERNETES,
    ("output", "cloudwatch"): GO_PLUGIN,
    ("output", "cloudwatch_logs"): CLOUDWATCH,
    **{("filter", name): rules for name, rules in FILTERS.items()},
}

_OF_EVERY_PLUGIN: Final = {
    "match": fixed("No counterpart: there is one way from Falco to CloudWatch, so there are no tags to match."),
    "match_regex": fixed("No counterpart: there are no tags to match."),
    "alias": fixed("No counterpart: it names the plugin in Fluent Bit's metrics."),
    "log_level": fixed("No counterpart: log.level is that of the whole agent."),
}
_OWN_NAME: Final = {
    "tail": fixed("Becomes the section tail."),
    "cloudwatch": fixed("Becomes the section cloudwatch. Fluent Bit's Go plugin is in maintenance since 2023."),
    "cloudwatch_logs": fixed("Becomes the section cloudwatch."),
}
_UNKNOWN: Final = Outcome("No counterpart: this command does not know the option.")
_NONE: Final = Rules({}, {}, {})


def outcome(option: Option, section: Section) -> Outcome:
    """The outcome of an option of a section that Falco's alerts pass."""
    rules = rules_of(section)
    rule = rules.by_key.get(option.key) or _OF_EVERY_PLUGIN.get(option.key)
    if rule is None and option.key == "name":
        rule = _OWN_NAME.get(section.plugin) or fixed(_filter(section))
    if rule is None:
        prefixes = [prefix for prefix in rules.by_prefix if option.key.startswith(prefix)]
        rule = rules.by_prefix[max(prefixes, key=len)] if prefixes else None
    return rule(option, section) if rule else _UNKNOWN


def losses_by_absence(section: Section) -> Iterator[tuple[str, str]]:
    """Each option that the section does not have, with what Fluent Bit loses by its default."""
    present = {option.key for option in section.options}
    rules = rules_of(section)
    for key, lost in rules.absent.items():
        other, values = rules.harmless.get(key, ("", ()))
        if key not in present and (section.get(other) or "").lower() not in values:
            yield key, lost


def rules_of(section: Section) -> Rules:
    return _PLUGINS.get((section.kind, "" if section.kind == "service" else section.plugin), _NONE)


def _filter(section: Section) -> str:
    known = (section.kind, section.plugin) in _PLUGINS
    return "See its options." if known else f"No counterpart: Falcowatch has no {section.kind} {section.plugin}."
