"""The result of `falcowatch check` as values: the verdict, the checks, the log streams and the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.core.redact import MASK
from agent.core.values import Lane
from agent.settings import Settings
from agent.settings.destinations import destination
from agent.settings.explain import SECRETS
from agent.settings.load import Loaded
from agent.web.figures import plural
from agent.web.report import Probe


class Outcome(StrEnum):
    """The outcome of one check, the worst first."""

    FAILED = "failed"
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Target:
    """Where one kind of record is shipped."""

    records: str
    group: str
    stream: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it took effect. The value of a secret is masked."""

    name: str
    value: Any
    source: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The whole result."""

    checks: Sequence[tuple[Outcome, Probe]]
    """The worst first."""
    strict: bool
    targets: Sequence[Target]
    settings: Sequence[Setting]

    @property
    def ready(self) -> bool:
        """Whether the command ends with 0."""
        return not self._count(Outcome.FAILED) and not (self.strict and self._count(Outcome.WARNING))

    @property
    def verdict(self) -> str:
        """One sentence."""
        failed, warnings = self._count(Outcome.FAILED), self._count(Outcome.WARNING)
        found = " and ".join(
            [
                *([plural(failed, "check") + " failed"] if failed else []),
                *([plural(warnings, "warning")] if warnings else []),
            ]
        )
        if not found:
            return f"Ready: all {len(self.checks)} checks passed."
        if self.ready:
            return f"Ready, with {found}."
        return f"Not ready: {found}" + (" (with --strict a warning counts)." if not failed else ".")

    def _count(self, outcome: Outcome) -> int:
        return sum(each is outcome for each, _ in self.checks)


def report_of(loaded: Loaded, probed: Sequence[Probe], *, strict: bool) -> Report:
    """The report for this configuration and these checks."""
    checks = [(_outcome(probe), probe) for probe in probed]
    order = list(Outcome)
    return Report(
        checks=sorted(checks, key=lambda check: order.index(check[0])),
        strict=strict,
        targets=_targets(loaded.settings),
        settings=_settings(loaded),
    )


def _outcome(probe: Probe) -> Outcome:
    if probe.ok:
        return Outcome.OK
    return Outcome.FAILED if probe.required else Outcome.WARNING


def _targets(settings: Settings) -> list[Target]:
    lanes = [(Lane.ROUTINE, "alerts"), (Lane.URGENT, f"alerts, {settings.falco.urgent_priority} and above")]
    if settings.falco.other_lines == "ship":
        lanes.append((Lane.OTHER, "lines that are not alerts"))
    # A namespace that is a glob is known for each pod only, so the name keeps the field.
    namespace = "{namespace}" if set(settings.tail.namespace) & set("*?[") else ""
    found = [(records, destination(settings, lane, namespace)) for lane, records in lanes]
    return [Target(records, each.group, each.stream) for records, each in found]


def _settings(loaded: Loaded) -> list[Setting]:
    defaults = {dotted: value for dotted, value, _ in Loaded(Settings(), {}, None).rows()}
    return [
        Setting(dotted, MASK if value and dotted in SECRETS else value, source, value == defaults[dotted])
        for dotted, value, source in loaded.rows()
    ]
