"""Prints the report of `falcowatch check`: for a person, or as JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson
from rich.text import Text

from agent.check.report import Outcome, Report, Setting
from agent.core.redact import without_passwords
from agent.settings.explain import printable

_COLOURS: Final = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "red"}


def lines(report: Report, *, every_setting: bool) -> Iterator[Text]:
    """The report for a terminal or a log. `every_setting`: also the settings that have their defaults."""
    yield Text(report.verdict, f"bold {'green' if report.ready else 'red'}")
    yield Text()
    for outcome, probe in report.checks:
        yield Text.assemble((f"  {outcome:8}", _COLOURS[outcome]), f" {probe.name}: {without_passwords(probe.detail)}")
    yield Text()
    yield Text("Log group and stream", "bold")
    width = max(len(target.records) for target in report.targets)
    group_width = max(len(target.group) for target in report.targets)
    for target in report.targets:
        yield Text(f"  {target.records:{width}}  {target.group:{group_width}}  {target.stream}")
    yield Text()
    shown = [each for each in report.settings if every_setting or not each.is_default]
    total = len(report.settings)
    if every_setting:
        yield Text(f"Configuration: all {total} settings", "bold")
    elif shown:
        yield Text(
            f"Configuration: {len(shown)} of {total} settings differ from their defaults (--all shows all)", "bold"
        )
    else:
        yield Text(f"Configuration: all {total} settings have their defaults (--all shows them)", "bold")
    yield from _table(shown)


def as_json(report: Report, *, every_setting: bool) -> bytes:
    """The same as one JSON object. Values keep their types: a size is a number of bytes, a duration one of seconds."""
    document = {
        "ready": report.ready,
        "verdict": report.verdict,
        "checks": [
            {"name": probe.name, "outcome": outcome.value, "detail": without_passwords(probe.detail)}
            for outcome, probe in report.checks
        ],
        "streams": [
            {"records": target.records, "log_group": target.group, "log_stream": target.stream}
            for target in report.targets
        ],
        "settings": [
            {"name": each.name, "value": _plain(each.value), "source": each.source, "default": each.is_default}
            for each in report.settings
            if every_setting or not each.is_default
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _table(settings: list[Setting]) -> Iterator[Text]:
    rows = [(each.name, printable(each.name, each.value), each.source) for each in settings]
    name_width = max((len(name) for name, _, _ in rows), default=0)
    value_width = min(28, max((len(value) for _, value, _ in rows), default=0))
    for name, value, source in rows:
        yield Text.assemble(f"  {name:{name_width}}  {value:{value_width}}  ", (source, "dim"))


def _plain(value: Any) -> Any:
    """The value as JSON has it. A path becomes text; bytes of a file name that are not UTF-8 are escaped."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_passwords(str(value)).encode(errors="backslashreplace").decode()
