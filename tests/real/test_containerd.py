"""A real log writer: containerd, through its CRI plugin, writes and reopens the files that the agent tails.

containerd cuts a record every 16,384 bytes, inside characters, and wherever it stands when it is told to reopen its
log: the rest is then in the next file. It runs `cat` in a pod of its own, so it needs root, Debian's packages and
grpcio; elsewhere this skips and says what is missing.
"""

from __future__ import annotations

import asyncio
import os
import time

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, alert, container
from tests.real.containerd import Container, container_of_containerd
from tests.real.written import ends_inside_a_character, last_line, parts_in, until, whole_lines

PART_BYTES = 16_384
HALF_BYTES = 30_000
"""After so much of a record one part of it is written and another begun: containerd reads 4,096 bytes at a time."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containerd starts a container: only root may")


async def test_what_containerd_writes_and_reopens_arrives_byte_for_byte(tmp_path):
    log, started = container(tmp_path) / "0.log", time.time()

    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        agent(tmp_path, cloudwatch.url) as running,
        container_of_containerd(tmp_path / "containerd", log) as printing,
    ):
        falco = Falco(printing)
        for _ in range(200):
            falco.alerts()
        falco.complains()
        await until(lambda: falco.printed == whole_lines(log))

        # A line of stderr between two parts of a record.
        rest = falco.begins_an_alert()
        await until(lambda: b" stdout P " in last_line(log))
        falco.complains()
        await until(lambda: b" stderr F " in last_line(log))
        falco.ends_the_alert(rest)
        await until(lambda: falco.printed == whole_lines(log))

        # A rotation inside a record.
        rest = falco.begins_an_alert()
        await until(lambda: b" stdout P " in last_line(log))
        first = await printing.rotate(log, at=started)
        falco.ends_the_alert(rest)

        # A rotation in full flow.
        stopped = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(falco.alerts_until(stopped))
            await until(lambda: whole_lines(log) > 100)
            second = await printing.rotate(log, at=started + 10)
            stopped.set()
        falco.alerts()
        falco.ends()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await cloudwatch.until(lambda: cloudwatch.count("falco") >= falco.printed)
        assert await running.terminate() == 0
        alerts = [event.message for event in cloudwatch.events("falco", "node-a")]
        others = [orjson.loads(event.message)["log"] for event in cloudwatch.events("falco", "node-a/falco-log")]

    assert sorted(message[: message.rfind(b',"falcowatch":{')] + b"}" for message in alerts) == sorted(falco.stdout)
    assert sorted(others) == sorted(falco.stderr)
    # And containerd did what this test is for.
    parts = [text for file in (first, second, log) for text in parts_in(file)]
    assert max(len(part) for part in parts) == PART_BYTES
    assert any(ends_inside_a_character(part) for part in parts)
    assert b" stdout P " in last_line(first)


class Falco:
    """What prints in the container, and all that it has printed."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.stdout: list[bytes] = []
        self.stderr: list[str] = []

    @property
    def printed(self) -> int:
        return len(self.stdout) + len(self.stderr)

    def alerts(self) -> None:
        """With a long one now and then."""
        self._container.stdout.write(self._alert(long=len(self.stdout) % 10 < 3))

    def begins_an_alert(self) -> bytes:
        """Prints the half of a long one, and returns the rest."""
        line = self._alert(long=True)
        self._container.stdout.write(line[:HALF_BYTES])
        return line[HALF_BYTES:]

    def ends_the_alert(self, rest: bytes) -> None:
        self._container.stdout.write(rest)

    async def alerts_until(self, stopped: asyncio.Event) -> None:
        """As fast as containerd takes them."""
        while not stopped.is_set():
            if self._container.stdout.get_write_buffer_size() == 0:
                self.alerts()
            await asyncio.sleep(0)

    def complains(self) -> None:
        self.stderr.append(f"complaint {len(self.stderr)}")
        self._container.stderr.write(self.stderr[-1].encode() + b"\n")

    def ends(self) -> None:
        self._container.stdout.close()
        self._container.stderr.close()

    def _alert(self, *, long: bool) -> bytes:
        number = len(self.stdout)
        text = alert(number)
        if long:
            # Characters of three bytes, begun at another byte each time: of three such, two are cut inside one.
            command = b"x" * (number % 3) + "€".encode() * 14_000
            text = text.replace(b'"evt.time"', b'"proc.cmdline":"%b","evt.time"' % command)
        self.stdout.append(text)
        return text + b"\n"
