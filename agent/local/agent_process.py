"""The agent of the demo: `falcowatch run` as a process of its own, configured by environment variables."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson

from agent.errors import DemoFailed

START_SECONDS: Final = 60.0
"""The demo fails when the agent does not listen after this time."""


def environment_of(place: Path, endpoint: str, pods: Path) -> dict[str, str]:
    """The environment of the agent. Variables of the user that configure Falcowatch or an AWS SDK are left out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FALCOWATCH_", "AWS_"))}
    return kept | {
        "NO_PROXY": "127.0.0.1",  # requests to loopback must not go through a proxy that is configured for AWS
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "FALCOWATCH_NODE_NAME": "demo",
        "FALCOWATCH_CLUSTER_NAME": "demo",
        "FALCOWATCH_STATE_DIR": str(place / "state"),
        "FALCOWATCH_TAIL__ROOT": str(place / "pods"),
        "FALCOWATCH_CLOUDWATCH__ENDPOINT_URL": endpoint,
        "FALCOWATCH_ENRICH__FILE": str(pods),
        "FALCOWATCH_HTTP__HOST": "127.0.0.1",
        "FALCOWATCH_HTTP__PORT": "0",
    }


class AgentProcess:
    """Use `async with`: the agent listens when the block begins, and has ended when the block is left."""

    def __init__(self, environment: Mapping[str, str], log_path: Path) -> None:
        self._environment = dict(environment)
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            port = await self._port()
        except BaseException:
            await self.kill()
            raise
        self.url = f"http://127.0.0.1:{port}"
        self._environment["FALCOWATCH_HTTP__PORT"] = str(port)  # the URL stays valid when the agent starts again
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Does not wait until the agent listens."""
        with self._log_path.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent.cli", "run", env=self._environment, stderr=output
            )

    async def kill(self) -> None:
        """SIGKILL, as the kernel does it to a process that exceeds its memory limit."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def terminate(self) -> None:
        """SIGTERM, as kubelet does it. Raises DemoFailed when the agent fails."""
        if self._process is not None:
            self.check()
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
            self.check()

    def check(self) -> None:
        """Raises DemoFailed when the agent has ended with an error. An agent that was killed is no error."""
        if self._process is not None and self._process.returncode:
            raise DemoFailed(
                f"the agent exited with code {self._process.returncode}; "
                "run the demo with --keep DIR and read DIR/agent.log"
            )

    async def _port(self) -> int:
        """The port from the agent's `listening` log line."""
        process = self._process
        async with asyncio.timeout(START_SECONDS):
            while process is not None and process.returncode is None:
                for line in self._log_path.read_bytes().splitlines():
                    with contextlib.suppress(json.JSONDecodeError):
                        entry = orjson.loads(line)
                        if entry.get("event") == "listening":
                            return int(entry["port"])
                await asyncio.sleep(0.02)
        raise DemoFailed(f"the agent did not start:\n{self._log_path.read_text(errors='replace').strip()}")
