"""The node's clock is wrong for a while, and jumps: nothing is lost, nothing stays stuck.

libfaketime (Debian) stands between a real agent and the clock; the monotonic clock stays true, as it does on a node.
"""

import asyncio
from pathlib import Path

import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import agent, alert, append, container, cri

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not here: make test-tools installs it")


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Sets the clock of the agents that are started: seconds ahead of the true one."""
    path = tmp_path / "clock"

    def put(ahead: int) -> None:
        aside = path.with_name("clock.new")
        aside.write_text(f"{ahead:+d}")
        aside.rename(path)

    put(0)
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(path))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return put


async def arrived(cloudwatch, events):
    async with asyncio.timeout(60):
        await cloudwatch.until(lambda: cloudwatch.count("falco") >= events)
    assert cloudwatch.count("falco") == events


@pytest.mark.parametrize("ahead", [240, -240])
async def test_a_jump_that_aws_tolerates_is_not_noticed(tmp_path, clock, ahead):
    log = container(tmp_path) / "0.log"
    async with EmbeddedCloudWatch(tmp_path / "cloudwatch") as cloudwatch, agent(tmp_path, cloudwatch.url):
        for number in range(4):
            append(log, cri(alert(number)))
            await arrived(cloudwatch, number + 1)
            clock(ahead * (number % 2))


@pytest.mark.parametrize("ahead", [36 * 3600, -36 * 3600], ids=["ahead", "behind"])
async def test_with_a_clock_too_wrong_to_sign_alerts_wait_and_go_out_when_it_is_right_again(tmp_path, clock, ahead):
    log = container(tmp_path) / "0.log"
    async with EmbeddedCloudWatch(tmp_path / "cloudwatch") as cloudwatch, agent(tmp_path, cloudwatch.url) as running:
        append(log, cri(alert(0)))
        await arrived(cloudwatch, 1)
        clock(ahead)
        append(log, cri(alert(1)))
        log.rename(log.with_name("0.log.20261123-000001"))
        append(log, cri(alert(2)))
        async with asyncio.timeout(20):
            while b"Signature" not in running.log_path.read_bytes():
                await asyncio.sleep(0.05)
        assert (await running.get("/healthz"))[0] == 200
        assert (await running.get("/readyz"))[0] == 503
        clock(0)
        await arrived(cloudwatch, 3)
        assert (await running.get("/readyz"))[0] == 200
