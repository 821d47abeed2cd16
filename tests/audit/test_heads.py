"""The seals in CloudWatch are compared with what Prometheus remembers, over real HTTP."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from aiohttp import web

from agent.audit.heads import Heads
from agent.audit.kinds import Kind
from agent.audit.prometheus import read_heads
from agent.errors import AuditFailed
from tests.audit.audited import audited, kinds, problems
from tests.audit.history import HEARTBEAT_MS, START_MS, Node, changed


class Prometheus:
    """Answers range queries with the gauges that it was told to remember."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, float, int, int]] = []
        self.answer: bytes | None = None
        self.url = ""

    def remember(self, node: Node) -> None:
        """One scrape after each seal."""
        seen = set()
        for event in node.events:
            if b'"seal":{' in event.message and event.message not in seen:
                seen.add(event.message)
                number = int(event.message.partition(b'"number":')[2].partition(b",")[0])
                head = int(sha256(event.message).hexdigest()[:12], 16)
                for later in (1, 2):
                    self.samples.append((node.name, event.time_ms / 1000 + later, number, head))

    async def query_range(self, request: web.Request) -> web.Response:
        assert {"start", "end", "step"} <= set(request.query)
        if self.answer is not None:
            return web.Response(body=self.answer)
        position = 2 if request.query["query"] == "falcowatch_seal_number" else 3
        nodes = sorted({sample[0] for sample in self.samples})
        result = [
            {
                "metric": {"__name__": request.query["query"], "node": node, "job": "falcowatch"},
                "values": [[sample[1], str(sample[position])] for sample in self.samples if sample[0] == node],
            }
            for node in nodes
        ]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    peer = Prometheus()
    application = web.Application()
    application.add_routes([web.get("/prefix/api/v1/query_range", peer.query_range)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/prefix/"
    yield peer
    await runner.cleanup()


@pytest.fixture
def node() -> Node:
    node = Node()
    for _ in range(3):
        node.write(3)
        node.read(3)
        node.seal()
    node.leave()
    return node


async def heads_of(prometheus: Prometheus, node: Node) -> Heads:
    return await read_heads(prometheus.url, START_MS, node.now_ms + 10_000)


async def test_seals_that_prometheus_remembers_are_right(prometheus: Prometheus, node: Node):
    prometheus.remember(node)

    result = audited(node.events, node.now_ms, heads=await heads_of(prometheus, node))

    assert result.exit_code == 0


async def test_a_tail_that_was_cut_off_is_remembered(prometheus: Prometheus, node: Node):
    prometheus.remember(node)
    until_ms = node.now_ms + 4 * HEARTBEAT_MS
    node.events = [event for event in node.events if event.time_ms < node.events[-1].time_ms - 2 * HEARTBEAT_MS]

    found = problems(audited(node.events, until_ms, heads=await heads_of(prometheus, node)))

    assert Kind.HEAD_MISSING in found
    assert found[Kind.HEAD_MISSING][-1] == "seal 5"


async def test_a_replaced_last_seal_differs_from_the_remembered_one(prometheus: Prometheus, node: Node):
    prometheus.remember(node)
    node.events = [
        changed(event, b"Informational", b"Notice") if b'"number":5,' in event.message else event
        for event in node.events
    ]

    found = problems(audited(node.events, node.now_ms, heads=await heads_of(prometheus, node)))

    assert found == {Kind.HEAD_DIFFERS: ["seal 5"]}


async def test_a_seal_that_is_on_its_way_is_open(prometheus: Prometheus, node: Node):
    prometheus.remember(node)
    node.events = [event for event in node.events if b'"number":5,' not in event.message]

    found = audited(node.events, node.now_ms, heads=await heads_of(prometheus, node))

    assert Kind.HEAD_NOT_HERE_YET in kinds(found)
    assert found.exit_code == 3


async def test_seals_that_are_older_than_the_data_are_not_missed(prometheus: Prometheus, node: Node):
    prometheus.remember(node)
    third = next(event.time_ms for event in node.events if b'"number":3,' in event.message)

    found = audited(node.events, node.now_ms, heads=await heads_of(prometheus, node), from_ms=third)

    assert not problems(found)


async def test_every_node_that_prometheus_remembers_is_named(prometheus: Prometheus, node: Node):
    prometheus.remember(node)

    assert (await heads_of(prometheus, node)).nodes == ["node-1"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"status":"error","error":"bad query"}',
        b'{"status":"success","data":{"result":[{"metric":{},"values":[["a","b"]]}]}}',
        b'{"status":"success","data":{"result":[{"metric":5,"values":5}]}}',
        b'{"status":"success","data":{"result":[]}}',
    ],
)
async def test_an_answer_of_another_form_ends_the_audit_with_a_sentence(
    prometheus: Prometheus, node: Node, answer: bytes
):
    prometheus.answer = answer

    with pytest.raises(AuditFailed, match="--prometheus http://127"):
        await heads_of(prometheus, node)


async def test_values_that_are_no_numbers_are_left_out(prometheus: Prometheus, node: Node):
    values = b'[[1,"NaN"],[2,"+Inf"],[3,"-5"]]'
    prometheus.answer = b'{"status":"success","data":{"result":[{"metric":{"node":"n"},"values":%b}]}}' % values

    assert (await heads_of(prometheus, node)).nodes == ["n"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "prometheus:9090", "ftp://x", ""])
async def test_an_address_that_does_not_answer_is_named(url: str):
    with pytest.raises(AuditFailed, match="check the address"):
        await read_heads(url, 0, 1000)
