"""A real browser, driven over its own debugging protocol: enough to open a page and ask it questions.

The browser is Debian's chromium, started headless with an empty profile; it speaks to this machine alone.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEADLINE_SECONDS = 60.0


class Tab:
    """One page; what it complained of is kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self._loaded = False
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self._receive()).get("id") != number:
            self._loaded |= message.get("method") == "Page.loadEventFired"
        return message["result"]

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=DEADLINE_SECONDS)
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.complaints.append(str(message["params"]))
        return message

    async def evaluate(self, expression: str) -> Any:
        """The value of a script's expression; a promise is waited for."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Waits inside the page until the condition holds."""
        look = f"(function look() {{ {condition} ? done() : setTimeout(look, 20) }})()"
        await self.evaluate(f"new Promise(done => {{ {look} }})")

    async def open(self, url: str, *, width: int, scheme: str = "light", script: bool = True) -> None:
        await self.call("Log.enable")
        await self.call("Runtime.enable")
        await self.call("Emulation.setScriptExecutionDisabled", value=not script)
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=True)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.call("Page.enable")
        self._loaded = False
        await self.call("Page.navigate", url=url)
        while not self._loaded:
            self._loaded = (await self._receive()).get("method") == "Page.loadEventFired"


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    assert CHROMIUM
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not (found := re.search(rb"DevTools listening on ws://([^/]+)/", await process.stderr.readline())):
                assert process.returncode is None
        drain = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession(f"http://{found[1].decode()}") as client:
            async with client.get("/json/list") as response:
                tabs = [tab for tab in await response.json() if tab["type"] == "page"]
            async with client.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        await process.wait()
    await drain
