"""Collects what becomes of a whole configuration: the settings, a note for each option, the losses, the open decisions.

The settings are checked with the agent's own model. A value that the model refuses is left out and becomes a decision
for the user, so the result is always a valid configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from agent.core.redact import MASK, without_passwords
from agent.migrate.document import Option, Section
from agent.migrate.paths import DEFAULTS
from agent.migrate.routes import Routes, names_falco, patterns, routes
from agent.migrate.rules.cloudwatch import ALWAYS_LOST
from agent.migrate.rules.outcome import Outcome
from agent.migrate.rules.table import CLOUDWATCH_PLUGINS, losses_by_absence, outcome
from agent.migrate.variables import Expanded
from agent.settings.explain import SECRETS, explain
from agent.settings.model import Settings

PLACEHOLDER: Final = "name-of-the-cluster"
"""The value of cluster_name when a name needs it and it is unknown."""
_SECRET_OPTIONS: Final = ("external_id", "passwd", "password", "secret", "token", "api_key", "license_key")
_ADDS: Final = frozenset({"falco.drop_rules", "tail.paths"})
"""Settings to which several options add."""


@dataclass(frozen=True, slots=True)
class Note:
    """One option and what becomes of it. `option` is without secrets."""

    option: Option
    outcome: Outcome


@dataclass(slots=True)
class Plan:
    """The result of a migration."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted path → value, only those that differ from the defaults."""
    notes: list[tuple[Section, list[Note]]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Sections that stay with Fluent Bit, one sentence each."""


def plan(expanded: Expanded) -> Plan:
    """The plan for a configuration whose variables are filled in."""
    document = expanded.document
    way = routes(document)
    result = Plan()
    output = _one_output(way, result)
    _say_what_is_missing(way, output, result)
    chosen = [*document.of_kind("service"), *way.inputs, *way.filters, *([output] if output else [])]
    for section in chosen:
        _add(section, result)
    for section, reason in way.others:
        result.left.append(f"{section.place}: {_title(section)}: {reason}.")
    for section in document.sections:
        if section.kind not in ("service", "input", "filter", "output"):
            name = section.get("name") or ""
            result.left.append(f"{section.place}: [{section.kind.upper()}] {name}: the agent needs no such definition.")
    if output is not None:
        result.lost += ALWAYS_LOST[output.plugin]
    _name_cluster(expanded.cluster_name, result)
    _keep_valid(result)
    result.lost = list(dict.fromkeys(result.lost))
    result.todo = list(dict.fromkeys(result.todo))
    return result


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are nested in the file."""
    values: dict[str, Any] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.rpartition(".")
        (values.setdefault(section, {}) if section else values)[key] = value
    return values


def _add(section: Section, result: Plan) -> None:
    notes = []
    for option in section.options:
        found = outcome(option, section)
        for dotted, value in found.settings:
            if dotted in _ADDS and isinstance(result.settings.get(dotted), list):
                value = [*result.settings[dotted], *(each for each in value if each not in result.settings[dotted])]
            elif dotted in result.settings and result.settings[dotted] != value:
                result.todo.append(f"{option.place}: {dotted} has another value before; the last one is used.")
            result.settings[dotted] = value
        if found.lost:
            result.lost.append(f"{option.place}: {_shown(option)}: {found.lost}")
        if found.todo:
            result.todo.append(found.todo)
        notes.append(Note(_without_secret(option), found))
    for _, lost in losses_by_absence(section):
        result.lost.append(f"{section.place}: {_title(section)}: {lost}")
    result.notes.append((section, notes))


def _one_output(way: Routes, result: Plan) -> Section | None:
    """The CloudWatch output that is migrated: one that names falco, else the first. The others are announced."""
    ours = [section for section in way.outputs if section.plugin in CLOUDWATCH_PLUGINS]
    named = [section for section in ours if any(names_falco(option.value) for option in section.options)]
    chosen = next(iter(named or ours), None)
    for section in way.outputs:
        if section is chosen:
            continue
        if section.plugin in CLOUDWATCH_PLUGINS:
            group = section.get("log_group_name") or section.get("log_group_template") or "without a name"
            result.todo.append(
                f"{section.place}: a second CloudWatch output (log group {_clean(group)!r}) gets Falco's alerts, too. "
                "Falcowatch has one destination: keep this output in Fluent Bit, or use a subscription filter."
            )
        else:
            result.todo.append(
                f"{section.place}: the output {section.plugin!r} gets Falco's alerts, too. Falcowatch ships "
                "to CloudWatch "
                "Logs only: keep this output in Fluent Bit, or use a subscription filter of the log group."
            )
    return chosen


def _say_what_is_missing(way: Routes, output: Section | None, result: Plan) -> None:
    if not way.inputs:
        result.todo.append(
            "No tail input reads Falco's log. The settings of tail below are the defaults: pods named falco-* in the "
            "namespace falco."
        )
    elif output is None:
        result.todo.append(
            "No CloudWatch output gets Falco's alerts. Set cloudwatch.log_group, or use the default (falco, or "
            "/falco/<cluster_name>)."
        )
    elif not any(names_falco(pattern) for section in way.inputs for pattern in patterns(section)):
        result.todo.append(
            f"{output.place}: this output gets the logs of all containers. Keep Fluent Bit for the others, "
            "exclude Falco's "
            "files there (Exclude_Path), and consider a log group of its own for Falco."
        )
    if len(way.inputs) > 1:
        places = ", ".join(str(section.place) for section in way.inputs)
        result.todo.append(f"{len(way.inputs)} inputs read Falco's log ({places}), so Fluent Bit sends alerts twice.")
    if way.rewritten:
        result.todo.append("A rewrite_tag filter changes tags, so check which output gets Falco's alerts today.")


def _name_cluster(known: str, result: Plan) -> None:
    if not any("{cluster}" in str(value) for value in result.settings.values()) or "cluster_name" in result.settings:
        return
    result.settings = {"cluster_name": known or PLACEHOLDER, **result.settings}
    if not known:
        result.todo.append(
            f"Put the name of the cluster in the place of {PLACEHOLDER!r}, or run the command again with the "
            "variable in "
            "its environment."
        )


def _keep_valid(result: Plan) -> None:
    """Removes settings that the model refuses or that are its defaults."""
    while True:
        try:
            checked = Settings.model_validate(nested(result.settings))
        except ValidationError as error:
            refused = [
                (dotted, line)
                for detail in error.errors()
                for line in explain(Settings, detail, {})
                for dotted in result.settings
                if line.startswith((f"{dotted} ", f"{dotted}.", f"{dotted}:"))
            ]
            if not refused:  # an error of another setting: none of ours can be kept
                refused = [(dotted, f"{dotted}: cannot be used") for dotted in result.settings]
            for dotted, line in refused:
                result.settings.pop(dotted, None)
                result.todo.append(f"Left out, because it is not valid: {_clean(line)}.")
            continue
        break
    defaults = Settings()
    for dotted in list(result.settings):
        value: Any = checked
        default: Any = defaults
        for key in dotted.split("."):
            value, default = getattr(value, key), getattr(default, key)
        if value == default or DEFAULTS.get(dotted) == value:
            del result.settings[dotted]


def _title(section: Section) -> str:
    return f"[{section.kind.upper()}] {_clean(section.plugin)}".strip()


def _shown(option: Option) -> str:
    option = _without_secret(option)
    return f"{_clean(option.name)} {_clean(option.value)}"


def _without_secret(option: Option) -> Option:
    if option.key in {name.rpartition(".")[2] for name in SECRETS} or any(
        part in option.key for part in _SECRET_OPTIONS
    ):
        return Option(option.name, MASK, option.place)
    return option


def _clean(text: str) -> str:
    return without_passwords(text if len(text) <= 100 else f"{text[:100]}…")
