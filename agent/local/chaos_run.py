"""Acts out the script of `falcowatch demo --chaos` on the embedded CloudWatch, the log files and the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agent.local.agent_process import AgentProcess
from agent.local.chaos import Act, Entry, Journal, Schedule, Script, Step
from agent.local.emulator import EmbeddedCloudWatch, StoredEvent
from agent.local.player import Player


class ChaosRun:
    """Call `act` again and again with the seconds of the run, and `observe` with the events that arrive."""

    def __init__(self, cloudwatch: EmbeddedCloudWatch, player: Player, agent: AgentProcess, script: Script) -> None:
        self._cloudwatch = cloudwatch
        self._player = player
        self._agent = agent
        self._flood_alerts = script.flood_alerts
        self._schedule = Schedule(script.steps)
        self._journal = Journal()
        self._flooded_at = 0.0
        self._awaited: dict[bytes, str] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._journal.entries

    @property
    def is_over(self) -> bool:
        return self._schedule.is_over

    async def act(self, seconds: float) -> None:
        """Do the steps that are due."""
        for step in self._schedule.due(seconds):
            self._journal.add(seconds, step, requests_hit=self._cloudwatch.faults.hits())
            await self._do(step)

    def observe(self, seconds: float, events: Iterable[StoredEvent]) -> None:
        """Finds the Critical and the end of the flood among the events."""
        if not self._awaited:
            return
        for event in events:
            for mark in [mark for mark in self._awaited if mark in event.message]:
                latency = max(0.0, event.ingested / 1000 - self._flooded_at)
                self._journal.add_arrival(seconds, self._awaited.pop(mark), latency)

    async def _do(self, step: Step) -> None:
        match step.act:
            case Act.KILL:
                await self._agent.kill()
            case Act.START:
                await self._agent.start()
            case Act.ROTATE:
                await asyncio.to_thread(self._player.rotate)
            case Act.FLOOD:
                flood = await asyncio.to_thread(self._player.flood, self._flood_alerts)
                self._flooded_at = flood.written_at
                self._awaited = {flood.critical: "the Critical", flood.last: "the end of the flood"}
            case Act.FAIL:
                self._cloudwatch.faults.replace(*step.faults)
            case Act.RECOVER:
                self._cloudwatch.faults.clear()
