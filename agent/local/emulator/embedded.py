"""The embedded CloudWatch as an object that a test or the demo starts and stops, and as a command.

Stopping it closes every socket and removes a temporary data directory. A data directory that the caller named stays,
and the next start loads the accepted events from it.
"""

import asyncio
import fcntl
import signal
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web
from rich.console import Console

from agent.errors import FalcowatchError, PortUnavailable
from agent.local.emulator.faults import Faults
from agent.local.emulator.requests import RequestLog
from agent.local.emulator.server import Server
from agent.local.emulator.store import Follower, Store, StoredEvent


class DataInUseError(FalcowatchError):
    """Another embedded CloudWatch uses the data directory."""


class EmbeddedCloudWatch:
    """The package's docstring explains the arguments and shows an example.

    Entering raises PortUnavailable, DataInUseError, CorruptDataError or OSError when the endpoint cannot start.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
        sequence_tokens: bool = False,
        discard: bool = False,
        tls: tuple[Path, Path] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.faults = faults if faults is not None else Faults()
        self.requests = RequestLog()
        self._data_dir = data_dir
        self._host = host
        self._port = port
        self._now = now
        self._sequence_tokens = sequence_tokens
        self._discard = discard
        self._tls = tls
        self._exit = AsyncExitStack()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            folder = self._data_dir
            if folder is None:
                folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="falcowatch-cloudwatch-")))
            folder.mkdir(parents=True, exist_ok=True)
            exits.enter_context(_locked(folder))
            self._store = Store(folder, discard=self._discard)
            server = Server(
                self._store,
                self._now,
                self.faults,
                self.requests,
                self._announce,
                sequence_tokens=self._sequence_tokens,
            )
            runner = web.AppRunner(
                server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
            )
            exits.push_async_callback(runner.cleanup)
            exits.callback(server.close)
            await runner.setup()
            site = web.TCPSite(runner, self._host, self._port, ssl_context=self._ssl_context())
            try:
                await site.start()
            except OSError as error:
                raise PortUnavailable(
                    f"{self._host}:{self._port} cannot be opened ({error.strerror}): choose another port, 0 for any"
                ) from error
            self.port: int = runner.addresses[0][1]
            self._exit = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop before the `async with` block ends: closes connections and unlocks the data directory."""
        await self._exit.aclose()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self.port}"

    def groups(self) -> dict[str, list[str]]:
        """The names of all groups, each with the names of its streams."""
        return {name: list(group.streams) for name, group in self._store.groups.items()}

    def events(self, group: str, stream: str | None = None) -> Iterator[StoredEvent]:
        """The stored events, stream by stream in order of arrival. Empty for a missing group or stream."""
        return self._store.events(group, stream)

    def count(self, group: str, stream: str | None = None) -> int:
        """The number of stored events, from the index."""
        return sum(found.log.events for found in self._store.streams(group, stream))

    def follow(self, group: str) -> Follower:
        """A reader whose `new_events()` returns each event once. The group need not exist yet."""
        return self._store.follow(group)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until `reached()` is true. It is called after each request; limit the wait with `asyncio.timeout`."""
        while not reached():
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _ssl_context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._tls)
        return context


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the directory's lock, because two processes that append to the same files would corrupt them."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataInUseError(
                f"{folder}: another embedded CloudWatch uses this directory; stop it or choose another data directory"
            ) from error
        yield


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    data_dir: Path | None = None,
    *,
    sequence_tokens: bool = False,
    discard: bool = False,
    tls: tuple[Path, Path] | None = None,
    faults: Faults | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. The first printed line is `listening on URL`, which other programs parse."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    endpoint = EmbeddedCloudWatch(
        data_dir, host=host, port=port, sequence_tokens=sequence_tokens, discard=discard, tls=tls, faults=faults
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with endpoint:
            print(f"listening on {endpoint.url}", flush=True)
            _explain(endpoint.url, data_dir, discard)
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):
                loop.remove_signal_handler(number)


def _explain(url: str, data_dir: Path | None, discard: bool) -> None:
    kept = "counted and discarded" if discard else f"kept in {data_dir}" if data_dir else "removed at the end"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"""
[bold]Embedded CloudWatch Logs[/bold]: checks requests as AWS does; events are {kept}. Ctrl-C stops it.

  [dim]# settings for the agent or the AWS CLI; any well-formed key pair is accepted[/dim]
  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  aws logs describe-log-groups
  aws logs tail falco --follow   [dim]# AWS CLI 2[/dim]
  aws logs filter-log-events --log-group-name falco --filter-pattern '{{ $.priority = "Critical" }}'

  [dim]# set faults, clear them, and show request statistics[/dim]
  curl -X PUT {url}/_faults -d '{{"kind": "throttle", "operation": "PutLogEvents", "probability": 0.3}}'
  curl -X DELETE {url}/_faults
  curl {url}/_stats
""")
    console.file.flush()
