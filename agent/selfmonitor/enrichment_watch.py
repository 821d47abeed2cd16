"""Announces that pod metadata cannot be read for a while, and that it can be read again.

A short failure is ordinary: the API server restarts, and the watch starts again within seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from agent.selfmonitor.events import OwnEvent

DOWN_SECONDS: Final = 600.0
"""The same time as in the Prometheus alert FalcowatchEnrichmentDown."""

LOOK_SECONDS: Final = 5.0


class EnrichmentWatch(Struct):
    """Remembers since when enrichment fails, and whether that was announced."""

    problem: Callable[[], str | None]
    """Why pod metadata cannot be read now; None: it can be read, or is switched off."""
    publish: Callable[[OwnEvent], object]
    down_since: float | None = None
    is_announced: bool = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Looks once, and publishes a change that is to be announced."""
        problem = self.problem()
        if problem is None:
            if self.is_announced and self.down_since is not None:
                self.publish(_up(now - self.down_since))
            self.down_since, self.is_announced = None, False
            return
        if self.down_since is None:
            self.down_since = now
        if not self.is_announced and now - self.down_since >= DOWN_SECONDS:
            self.publish(_down(problem, now - self.down_since))
            self.is_announced = True


def _down(problem: str, seconds: float) -> OwnEvent:
    output = f"pod metadata could not be read for {seconds:.0f} s, so alerts of new pods have none: {problem}"
    return OwnEvent("enrichment down", "Critical", output, {"enrichment.down_seconds": round(seconds, 1)})


def _up(seconds: float) -> OwnEvent:
    output = f"pod metadata can be read again, after {seconds:.0f} s"
    return OwnEvent("enrichment up", "Notice", output, {"enrichment.down_seconds": round(seconds, 1)})
