"""A record waits for its own pod: no longer than it must, and no other record waits with it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from agent.core.reading.records import Records
from agent.core.values import Fragment, PodKey
from agent.enrich.pod_wait import MOST_PODS, Held, PodWait
from agent.telemetry import Telemetry

pytestmark = pytest.mark.looptime


class Pods:
    """An enricher whose pods appear when the test says so."""

    def __init__(self) -> None:
        self.known: dict[PodKey, asyncio.Event] = {}
        self.broken = False
        self.listed = True
        self.pod_count = 0
        self.problem: str | None = None

    def event(self, key: PodKey) -> asyncio.Event:
        return self.known.setdefault(key, asyncio.Event())

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        return None

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        return Fragment(b"", b"", result)

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        if self.broken:
            raise ValueError("broken")
        try:
            async with asyncio.timeout(timeout_seconds):
                for key in keys:
                    await self.event(key).wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        await asyncio.Event().wait()


class Rig:
    def __init__(self, limit_bytes: int = 1000) -> None:
        self.pods = Pods()
        self.telemetry = Telemetry("0")
        self.wait = PodWait(self.pods, wait_seconds=1.0, limit_bytes=limit_bytes, defects=self.telemetry.defects)
        self.released: dict[str, float] = {}
        self.passes: list[tuple[list[str], int]] = []
        """The records that were released together, and their size."""

    def hold(self, name: str, key: PodKey, size_bytes: int = 10, chunk: object = None) -> None:
        async def release(records: Records, size_bytes: int) -> None:
            together = [payload.decode() for payload in records.payloads]
            self.passes.append((together, size_bytes))
            self.released |= dict.fromkeys(together, asyncio.get_running_loop().time())

        record = Records([name.encode()], [0], [b""])
        self.wait.hold(key, Held(chunk or object(), record, size_bytes, release))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.wait.run())
        yield
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def pod(name: str) -> PodKey:
    return PodKey("shop", name, None, None)


async def test_a_record_goes_when_its_pod_appears_and_another_waits_until_its_time_is_up() -> None:
    rig = Rig()
    async with rig.running():
        rig.hold("a", pod("a"))
        rig.hold("b", pod("b"))
        assert (rig.wait.records, rig.wait.size_bytes) == (2, 20)
        await asyncio.sleep(0.25)
        rig.pods.event(pod("a")).set()
        await asyncio.sleep(2)

    assert rig.released == {"a": 0.25, "b": 1.0}
    assert (rig.wait.records, rig.wait.size_bytes) == (0, 0)


async def test_a_later_record_of_a_pod_waits_no_longer_than_the_first() -> None:
    rig = Rig()
    async with rig.running():
        rig.hold("first", pod("a"))
        await asyncio.sleep(0.75)
        rig.hold("second", pod("a"))
        await asyncio.sleep(1)

    assert rig.released == {"first": 1.0, "second": 1.0}


async def test_records_of_one_chunk_that_are_due_together_are_released_in_one_pass() -> None:
    rig = Rig()
    async with rig.running():
        rig.hold("a", pod("a"), chunk="chunk 1")
        rig.hold("b", pod("b"), chunk="chunk 1")
        rig.hold("c", pod("c"), chunk="chunk 2")
        await asyncio.sleep(2)

    assert rig.passes == [(["a", "b"], 20), (["c"], 10)]


async def test_beyond_the_bound_the_records_that_waited_longest_go_first() -> None:
    rig = Rig(limit_bytes=100)
    async with rig.running():
        for name in "abc":
            rig.hold(name, pod(name), 40)
        await rig.wait.make_room()

        assert rig.released == {"a": 0.0}
        assert (rig.wait.records, rig.wait.size_bytes) == (2, 80)


async def test_before_the_first_list_of_pods_reading_waits_and_no_longer_than_a_record() -> None:
    rig = Rig(limit_bytes=100)
    rig.pods.listed = False
    async with rig.running():
        await rig.wait.make_room()
        assert asyncio.get_running_loop().time() == 0
        rig.hold("a", pod("a"), 99)
        await rig.wait.make_room()
        rig.hold("b", pod("b"), 50)
        await asyncio.sleep(0)
        room = asyncio.create_task(rig.wait.make_room())
        await asyncio.sleep(0.5)
        assert not room.done()
        rig.pods.event(pod("b")).set()
        await room
        assert asyncio.get_running_loop().time() == 0.5


async def test_the_number_of_pods_is_bounded_too() -> None:
    rig = Rig(limit_bytes=10**9)
    for number in range(MOST_PODS + 5):
        rig.hold(str(number), pod(str(number)), 1)

    await rig.wait.make_room()

    assert list(rig.released) == [str(number) for number in range(6)]


async def test_at_the_end_everything_goes_at_once() -> None:
    rig = Rig()
    async with rig.running():
        rig.hold("a", pod("a"))
        rig.hold("b", pod("b"))
        await rig.wait.release_all()

        assert rig.released == {"a": 0.0, "b": 0.0}
        await asyncio.sleep(2)
    assert rig.released == {"a": 0.0, "b": 0.0}


async def test_a_defect_of_enrichment_costs_the_record_its_wait_and_nothing_else() -> None:
    rig = Rig()
    rig.pods.broken = True
    async with rig.running():
        rig.hold("a", pod("a"))
        await asyncio.sleep(2)

    assert rig.released == {"a": 0.0}
    assert rig.telemetry.value("defects_total", part="enrichment") == 1


async def test_what_was_held_when_the_wait_was_started_again_is_released_too() -> None:
    rig = Rig()
    async with rig.running():
        rig.hold("a", pod("a"))
        await asyncio.sleep(0.5)
    async with rig.running():
        await asyncio.sleep(2)

    assert list(rig.released) == ["a"]
