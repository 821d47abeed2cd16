"""Acts out the script of `falcowatch demo --chaos` on the embedded CloudWatch, the log files and the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from agent.local.agent_process import AgentProcess
from agent.local.chaos import FLOOD_ALERTS, Act, Entry, FloodLatencies, Journal, Script, Step
from agent.local.emulator import EmbeddedCloudWatch, StoredEvent
from agent.local.player import Flood, Player


class ChaosRun:
    """Call `act` again and again with the seconds of the run, and `observe` with the events that have arrived."""

    def __init__(
        self, cloudwatch: EmbeddedCloudWatch, player: Player, agent: AgentProcess, script: Script | None = None
    ) -> None:
        self._cloudwatch = cloudwatch
        self._player = player
        self._agent = agent
        self._script = Script() if script is None else script
        self._journal = Journal()
        self._flood: Flood | None = None
        self._latencies = FloodLatencies()

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._journal.entries

    @property
    def is_over(self) -> bool:
        return self._script.is_over

    async def act(self, seconds: float) -> None:
        """Do the steps that are due."""
        for step in self._script.due(seconds):
            self._journal.add(seconds, step, requests_hit=self._cloudwatch.faults.hits())
            await self._do(step)

    def observe(self, events: Iterable[StoredEvent]) -> None:
        """Finds the end of the flood and its Critical among the events."""
        if self._flood is None or self._latencies.are_known:
            return
        for event in events:
            seconds = max(0.0, event.ingested / 1000 - self._flood.written_at)
            if self._latencies.last is None and self._flood.last in event.message:
                self._latencies = replace(self._latencies, last=seconds)
            elif self._latencies.critical is None and self._flood.critical in event.message:
                self._latencies = replace(self._latencies, critical=seconds)
        self._journal.flood_arrives(self._latencies)

    async def _do(self, step: Step) -> None:
        match step.act:
            case Act.KILL:
                await self._agent.kill()
            case Act.START:
                await self._agent.start()
            case Act.ROTATE:
                await asyncio.to_thread(self._player.rotate)
            case Act.FLOOD:
                self._flood = await asyncio.to_thread(self._player.flood, FLOOD_ALERTS)
            case Act.FAIL:
                self._cloudwatch.faults.replace(*step.faults)
            case Act.RECOVER:
                self._cloudwatch.faults.clear()
