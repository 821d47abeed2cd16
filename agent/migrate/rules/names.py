"""Turns the options that name the log group and the log stream into our templates.

Fluent Bit's templates take fields of the record. Ours take only the names of cluster, node and namespace, so that the
text of an alert can never choose a group or a stream.
"""

from __future__ import annotations

import re
from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.rules.outcome import Outcome
from agent.migrate.variables import as_template, has_unknown

_FIELDS: Final = {
    "namespace_name": "{namespace}",
    "namespace": "{namespace}",
    "host": "{node}",
    "cluster_name": "{cluster}",
}
_ACCESSOR: Final = re.compile(r"[$#]\(?(\w+)((?:\[['\"]?[\w./-]+['\"]?\])*)\)?")
_LAST_KEY: Final = re.compile(r"\[['\"]?([\w./-]+)['\"]?\]$")
_SAME_STREAM: Final = (
    "All nodes then write to one stream. With the default {node}, each node has its own stream, so it is easier to see "
    "which node is silent."
)


def template(value: str) -> str | None:
    """The value as our template; None when it uses a field of the record that ours does not have."""
    unknown = False

    def field(match: re.Match[str]) -> str:
        nonlocal unknown
        key = _LAST_KEY.search(match[2])
        found = _FIELDS.get(key[1] if key else match[1])
        unknown = unknown or found is None
        return found or ""

    result = _ACCESSOR.sub(field, as_template(value))
    return None if unknown or has_unknown(result) or not result else result


def group_name(option: Option, section: Section) -> Outcome:
    if section.get("log_group_template") is not None and template(section.get("log_group_template") or ""):
        return Outcome("No setting: log_group_template takes its place.")
    return _group(option)


def group_template(option: Option, _section: Section) -> Outcome:
    return _group(option)


def stream_name(option: Option, section: Section) -> Outcome:
    if template(section.get("log_stream_template") or ""):
        return Outcome("No setting: log_stream_template takes its place.")
    return _stream(option, option.value)


def stream_template(option: Option, _section: Section) -> Outcome:
    return _stream(option, option.value)


def stream_prefix(option: Option, section: Section) -> Outcome:
    if section.get("log_stream_name") is not None or template(section.get("log_stream_template") or ""):
        return Outcome("No setting: another option names the stream.")
    prefix = template(option.value)
    note = "Fluent Bit appends the tag with the name of the log file, so each container has a stream of its own; here "
    if prefix is None:
        return Outcome(f"No setting: {note}it is one stream a node.")
    if "{node}" in prefix:
        return _stream(option, prefix.rstrip("-_./"), f"{note}it is one stream a node.")
    return _stream(option, prefix + "{node}", f"{note}it is one stream a node.")


def _group(option: Option) -> Outcome:
    name = template(option.value)
    if name is None:
        return Outcome(
            "No setting: cloudwatch.log_group has its default, because this name depends on fields of the record.",
            todo=f"{option.place}: choose cloudwatch.log_group; {option.value!r} has no counterpart.",
        )
    return Outcome("Becomes cloudwatch.log_group.", (("cloudwatch.log_group", name),))


def _stream(option: Option, value: str, note: str = "") -> Outcome:
    name = template(value)
    if name is None:
        return Outcome(
            "No setting: cloudwatch.log_stream is {node}. Fields of the record cannot name a stream: the "
            "metadata there "
            "is that of Falco's pod anyway."
        )
    if name == "{node}":
        return Outcome(f"No setting: cloudwatch.log_stream is {{node}}. {note}".strip())
    says = note or "Urgent alerts go to <stream>/urgent, lines that are not alerts to <stream>/falco-log."
    todo = "" if "{node}" in name else f"{option.place}: decide on cloudwatch.log_stream. {_SAME_STREAM}"
    return Outcome(f"Becomes cloudwatch.log_stream. {says}", (("cloudwatch.log_stream", name),), todo=todo)
