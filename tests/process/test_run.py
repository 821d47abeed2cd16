"""The agent as a process: started, given log files, which rotate, stopped, started again."""

import asyncio
import re
import shutil
import signal

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch, Fault
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


async def arrived(cloudwatch, count, stream=None):
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cloudwatch.until(lambda: cloudwatch.count("falco", stream) >= count)
    return [event.message for event in cloudwatch.events("falco", stream)]


def numbers(messages):
    return [int(orjson.loads(message)["output"]) for message in messages]


async def test_an_alert_arrives_as_falco_wrote_it_with_our_keys_appended(tmp_path, cloudwatch):
    written = alert(1)
    append(container(tmp_path) / "0.log", cri(written))

    async with agent(tmp_path, cloudwatch.url):
        [message] = await arrived(cloudwatch, 1)

    assert message.startswith(written[:-1] + b',"falcowatch":{"id":"')
    assert re.fullmatch(r"[0-9a-f]{16}:0", orjson.loads(message)["falcowatch"]["id"])
    assert orjson.loads(message)["falcowatch"]["node"] == "node-a"


async def test_a_restart_continues_behind_the_settled_prefix(tmp_path, cloudwatch):
    live = container(tmp_path) / "0.log"
    append(live, *(cri(alert(number)) for number in range(100)))
    async with agent(tmp_path, cloudwatch.url) as first:
        await arrived(cloudwatch, 100)
        assert await first.terminate() == 0

    append(live, *(cri(alert(number)) for number in range(100, 150)))
    async with agent(tmp_path, cloudwatch.url) as second:
        messages = await arrived(cloudwatch, 150)
        assert await second.terminate() == 0

    assert numbers(messages) == list(range(150))


async def test_a_rotation_while_the_agent_is_down_is_read_in_order(tmp_path, cloudwatch):
    directory = container(tmp_path)
    live = directory / "0.log"
    append(live, cri(alert(0)))
    async with agent(tmp_path, cloudwatch.url) as first:
        await arrived(cloudwatch, 1)
        assert await first.terminate() == 0

    append(live, cri(alert(1)))
    live.rename(directory / "0.log.20261123-100000")
    append(live, cri(alert(2)))
    async with agent(tmp_path, cloudwatch.url) as second:
        messages = await arrived(cloudwatch, 3)
        assert await second.terminate() == 0

    assert numbers(messages) == [0, 1, 2]


async def test_a_rotation_while_the_agent_runs_loses_nothing(tmp_path, cloudwatch):
    directory = container(tmp_path)
    live = directory / "0.log"
    append(live, cri(alert(0)))

    async with agent(tmp_path, cloudwatch.url):
        await arrived(cloudwatch, 1)
        with live.open("ab") as before:
            live.rename(directory / "0.log.20261123-100000")
            before.write(cri(alert(1)))
        append(live, cri(alert(2)))
        messages = await arrived(cloudwatch, 3)

    assert sorted(numbers(messages)) == [0, 1, 2]


async def test_urgent_alerts_and_other_lines_have_streams_of_their_own(tmp_path, cloudwatch):
    append(
        container(tmp_path) / "0.log",
        cri(alert(1)),
        cri(alert(2, priority="Critical")),
        cri(b"Mon Nov 23 07:32:05 2026: Falco version: 0.44.1 (x86_64)", stream="stderr"),
    )

    async with agent(tmp_path, cloudwatch.url):
        await arrived(cloudwatch, 3)

    assert numbers(event.message for event in cloudwatch.events("falco", "node-a")) == [1]
    assert numbers(event.message for event in cloudwatch.events("falco", "node-a/urgent")) == [2]
    [other] = [orjson.loads(event.message) for event in cloudwatch.events("falco", "node-a/falco-log")]
    assert other["log"] == "Mon Nov 23 07:32:05 2026: Falco version: 0.44.1 (x86_64)"
    assert other["stream"] == "stderr"


async def test_the_books_balance_on_the_metrics_page(tmp_path, cloudwatch):
    append(
        container(tmp_path) / "0.log",
        *(cri(alert(number)) for number in range(50)),
        cri(alert(50, priority="Debug")),
        cri(b""),
        cri(b"\xff\x00 binary"),  # a NUL is a hole, so these are two lines
    )

    async with agent(tmp_path, cloudwatch.url, falco__minimum_priority="notice") as running:
        await arrived(cloudwatch, 52)
        status, metrics = await running.get("/metrics")

    assert status == 200
    value = {name: float(number) for name, number in re.findall(r"^(falcowatch_\S+) (\S+)$", metrics, re.MULTILINE)}
    assert value["falcowatch_records_read_total"] == 54
    assert value['falcowatch_records_filtered_total{reason="priority"}'] == 1
    assert value['falcowatch_records_filtered_total{reason="empty"}'] == 1
    shipped = sum(number for name, number in value.items() if name.startswith("falcowatch_records_shipped_total"))
    assert shipped + value["falcowatch_records_in_flight"] == 52


async def test_sigterm_with_a_dead_cloudwatch_ends_by_the_deadline_and_loses_nothing(tmp_path, cloudwatch):
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(10)))
    async with agent(tmp_path, "http://127.0.0.1:9", drain_seconds="0.2") as first:
        await first.get("/healthz")
        assert await first.terminate() == 0

    async with agent(tmp_path, cloudwatch.url):
        messages = await arrived(cloudwatch, 10)

    assert sorted(numbers(messages)) == list(range(10))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_signal_that_asks_to_end_drains(tmp_path, cloudwatch, number):
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(0)))
    # After the first put, the next one waits for its turn, unless the agent drains.
    paced = {"cloudwatch__max_puts_per_second": "0.001", "drain_seconds": "20"}
    async with agent(tmp_path, cloudwatch.url, **paced) as running:
        await arrived(cloudwatch, 1)
        append(live, *(cri(alert(n)) for n in range(1, 10)))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "falcowatch_records_read_total 10.0" not in (await running.get("/metrics"))[1]:
                await asyncio.sleep(0.05)
        assert cloudwatch.count("falco", "node-a") == 1
        running.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.process.wait() == 0

    assert running.logged("agent stopped")
    assert sorted(numbers(event.message for event in cloudwatch.events("falco", "node-a"))) == [*range(10)]


async def test_a_second_signal_ends_it_at_once(tmp_path):
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with agent(tmp_path, "http://127.0.0.1:9", drain_seconds="300") as running:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not running.logged("put did not deliver, it will be tried again"):
                await asyncio.sleep(0.02)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not running.logged("agent stopping"):
                await asyncio.sleep(0.02)

        assert await running.terminate() == 128 + signal.SIGTERM


async def test_health_and_readiness_answer_and_the_pages_show_the_books(tmp_path, cloudwatch):
    append(container(tmp_path) / "0.log", cri(alert(1)))

    async with agent(tmp_path, cloudwatch.url) as running:
        await arrived(cloudwatch, 1)
        pages = {path: await running.get(path) for path in ("/healthz", "/readyz", "/status", "/")}

    assert {path: status for path, (status, _) in pages.items()} == dict.fromkeys(pages, 200)
    assert orjson.loads(pages["/status"][1])["books"]["read"] == 1


async def test_a_gap_event_survives_a_crash_before_cloudwatch_has_it(tmp_path, cloudwatch):
    checkpoint = tmp_path / "state" / "checkpoint.json"

    async def checkpointed(text):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (checkpoint.exists() and text in checkpoint.read_bytes()):
                await asyncio.sleep(0.05)

    cloudwatch.faults.add(Fault("reset", operation="*"))
    append(container(tmp_path) / "0.log", cri(alert(0)))
    async with agent(tmp_path, cloudwatch.url) as first:
        await checkpointed(b"0.log")
        first.process.kill()
    shutil.rmtree(container(tmp_path).parent)
    async with agent(tmp_path, cloudwatch.url) as second:
        await checkpointed(b"Falcowatch: gap")
        second.process.kill()
    kept = {pending["id"] for pending in orjson.loads(checkpoint.read_bytes())["untold"]}

    cloudwatch.faults.clear()
    async with agent(tmp_path, cloudwatch.url) as third:
        [message] = await arrived(cloudwatch, 1)
        assert await third.terminate() == 0

    gap = orjson.loads(message)
    assert gap["rule"] == "Falcowatch: gap"
    assert gap["falcowatch"]["id"] in kept
    assert b"Falcowatch: gap" not in checkpoint.read_bytes()
