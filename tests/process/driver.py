"""Drives `falcowatch` as a user does: a process, an environment, files, signals, HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

POD = "falco_falco-x2x9t_0f8fad5b-d9cb-469f-a165-70867728950e"
PATIENCE_SECONDS = 120.0
"""For events that come in a second: a busy machine that also measures coverage needs a minute to start an agent."""


def alert(number: int, *, priority: str = "Notice", rule: str = "Terminal shell in container") -> bytes:
    """A small alert shaped as Falco shapes them; `number` makes it unique."""
    return (
        b'{"hostname":"node","output":"%d","output_fields":{"container.id":"host","evt.time":%d},"priority":"%b",'
        b'"rule":"%b","source":"syscall","tags":[],"time":"%b"}'
        % (number, number, priority.encode(), rule.encode(), recent().encode())
    )


def recent() -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())


def cri(payload: bytes, *, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"{recent()} {stream} {tag} ".encode() + payload + b"\n"


class Agent:
    """One `falcowatch run`."""

    def __init__(self, process: asyncio.subprocess.Process, log_path: Path) -> None:
        self.process = process
        self.log_path = log_path

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Lines of the agent's own log with that event phrase."""
        found = []
        for line in self.log_path.read_bytes().splitlines():
            with contextlib.suppress(orjson.JSONDecodeError):
                entry = orjson.loads(line)
                if entry.get("event") == event:
                    found.append(entry)
        return found

    async def url(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (listening := self.logged("listening")):
                assert self.process.returncode is None, self.log_path.read_text()
                await asyncio.sleep(0.02)
        return f"http://127.0.0.1:{listening[0]['port']}"

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(await self.url() + path) as answer:
            return answer.status, await answer.text()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def agent(place: Path, endpoint: str, **settings: str) -> AsyncIterator[Agent]:
    """Runs the agent over `place`/pods and `place`/state; keyword `tail__paths` is FALCOWATCH_TAIL__PATHS."""
    (place / "pods").mkdir(exist_ok=True)
    log_path = place / f"agent-{len(list(place.glob('agent-*.log')))}.log"
    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.cli", "run", env=environment(place, endpoint, **settings), stderr=output
        )
    running = Agent(process, log_path)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def environment(place: Path, endpoint: str, **settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FALCOWATCH_", "AWS_"))}
    return clean | {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "FALCOWATCH_NODE_NAME": "node-a",
        "FALCOWATCH_STATE_DIR": str(place / "state"),
        "FALCOWATCH_TAIL__ROOT": str(place / "pods"),
        "FALCOWATCH_CLOUDWATCH__ENDPOINT_URL": endpoint,
        "FALCOWATCH_HEARTBEAT_SECONDS": "0",
        "FALCOWATCH_HTTP__HOST": "127.0.0.1",
        "FALCOWATCH_HTTP__PORT": "0",
        **{f"FALCOWATCH_{name.upper()}": value for name, value in settings.items()},
    }


def container(place: Path, pod: str = POD, name: str = "falco") -> Path:
    """The directory of that container's log files."""
    directory = place / "pods" / pod / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))
