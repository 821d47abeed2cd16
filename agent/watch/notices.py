"""Falco's messages about itself, turned into metrics.

A drop notice counts the system calls Falco could not see in one second, every value a string; a
metrics snapshot carries totals since Falco's start, and the digests of its rules (Falco 0.40 and 0.44).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from agent.core.falco import DROP_NOTICE, METRICS_SNAPSHOT, NotAnAlert, Notice, decode_notice
from agent.telemetry import Telemetry

RULES_DIGEST = "falco.sha256_rules_file."


class Notices:
    """Reads notices; remembers only what a page shows."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.version = ""
        self.rules: dict[str, str] = {}
        """Digest by rules file, as Falco names them."""

    def read(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            with contextlib.suppress(NotAnAlert):  # counted and shipped all the same
                self._read(decode_notice(payload))

    def _read(self, notice: Notice) -> None:
        fields = notice.output_fields
        if notice.rule == DROP_NOTICE:
            self._telemetry.falco_syscall_drops.inc(_number(fields.get("n_drops")))
        elif notice.rule == METRICS_SNAPSHOT:
            self._telemetry.falco_events.set(_number(fields.get("scap.n_evts", fields.get("falco.num_evts"))))
            self._telemetry.falco_output_drops.set(_number(fields.get("falco.outputs_queue_num_drops")))
            self.version = str(fields.get("falco.version", self.version))
            self.rules = {
                key.removeprefix(RULES_DIGEST): str(value)
                for key, value in fields.items()
                if key.startswith(RULES_DIGEST)
            }
            digests = ",".join(f"{name}:{digest[:12]}" for name, digest in sorted(self.rules.items()))
            self._telemetry.falco_rules.info({"version": self.version, "rules": digests})


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return max(0.0, number) if number < float("inf") else 0.0


"""Nothing that Falco writes may end the agent: an odd value counts as none."""
