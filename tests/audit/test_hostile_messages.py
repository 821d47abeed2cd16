"""No message harms the audit: whoever may put events can write any bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.audit.history import RawEvent
from agent.core.proof.events import EventReader, Foreign
from tests.audit.audited import audited, shown
from tests.audit.history import Node

END = b',"falcowatch":{"id":"%b","node":"node-1"}}'
SEAL = {
    "version": 1,
    "chain": "0" * 16,
    "number": 1,
    "previous": "",
    "begins": "first start",
    "started": 1,
    "settings": "s",
    "files": [],
}
STATEMENT = {"file": "f", "from": 0, "to": 1, "shipped": 1, "filtered": {}, "rejected": [], "gaps": [], "sha256": None}


def heartbeat(**fields: object) -> bytes:
    seal = json.dumps({**SEAL, **fields}).encode()
    return b'{"rule":"Falcowatch: heartbeat","seal":%b' % seal + END % b"self:seal:0000000000000000:1"


def statement(**fields: object) -> bytes:
    return heartbeat(files=[{**STATEMENT, **fields}])


HOSTILE = [
    b"",
    b"}}",
    b"\xff\xfe\x00",
    END % b"file:1",
    b'{"a":' + b"[" * 100_000 + END % b"file:1",
    b'{"a":' + b'{"a":' * 100_000 + END % b"file:1",
    b'{"log":"' + b"\\" * 100_001 + END % b"file:1",
    b'{"log":"x","stream":' + b"[" * 100_000 + END % b"file:1",
    b"{" + END % b"file:99999999999999999999999999",
    b"{" + END % b"file:18446744073709551615",
    b"{" + END % b"file:-1",
    b"{" + END % b"a:b:c:1",
    b"{" + END % "file:٣".encode(),
    b'{"a":1,"kubernetes":{' * 1000 + END % b"file:1",
    b'{"log":"x","size":1e999,"falcowatch":{"id":"file:1","node":"n","defect":1}}',
    b'{"x":1,"falcowatch":{"id":"file:1","node":"\\u0000\\u001b[31m"}}',
    b'{"x":1,"falcowatch":{"id":"file:1","node":"\\ud800"}}',
    b'{"x":1,"falcowatch":{"id":5,"node":"n"}}',
    b'{"rule":"Falcowatch: heartbeat","seal":' + b"[" * 100_000 + END % b"self:seal:0000000000000000:1",
    b'{"rule":5,"seal":{}' + END % b"self:seal:0000000000000000:1",
    heartbeat(number=10**30),
    heartbeat(number=-1),
    heartbeat(number=1.5),
    heartbeat(chain="'; DROP TABLE seal; --"),
    heartbeat(started=2**64 - 1),
    heartbeat(started=2**62),
    heartbeat(started=253_402_300_799_000, number=2),
    heartbeat(files=[[]] * 1000),
    heartbeat(files={}),
    heartbeat(mac="\x00" * 1000),
    heartbeat(unsealed=["\x00", "x" * 100_000]),
    statement(**{"from": 5, "to": 1}),
    statement(**{"from": -5}),
    statement(to=2**63),
    statement(shipped=2**63 - 1, rejected=[f"f:{number}" for number in range(5000)]),
    statement(rejected=["f:99999999999999999999999", "g:0", "f:", ":", "", "f:٣", "f:0"]),
    statement(gaps=[[0, 2**63 - 1, "x"], [5, 1, ""]]),
    statement(gaps=[[1]]),
    statement(file="\x00" * 200, filtered={"\x1b[2J": 2**62}),
    statement(file=5),
    statement(sha256="xyz"),
    statement(since=10**30),
    statement(since=-(2**62)),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_message_harms_nothing(number: int):
    node = Node("other")
    node.write(3)
    node.read(3)
    node.leave()
    hostile = RawEvent("stream\x1b[31m", node.now_ms, node.now_ms, HOSTILE[number])

    result = audited([hostile, *node.events, hostile], node.now_ms + 10**7)

    (other,) = (found for found in result.nodes if found.node == "other")
    assert (other.events, other.proved) == (3, 3), shown(result)


@given(message=st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(message: bytes):
    assert isinstance(EventReader().read(message), Foreign)


@given(
    body=st.binary(max_size=100),
    middle=st.sampled_from([b"", b',"kubernetes":{}', b',"kubernetes":{"a":', b',"truncated":{"size":1,"sha256":"']),
    identity=st.text(max_size=30),
    tail=st.sampled_from([b"}}", b"}", b',"defect":1}}', b'"}}']),
)
def test_any_parts_of_an_event_are_read_without_an_error(body: bytes, middle: bytes, identity: str, tail: bytes):
    EventReader().read(
        b"{" + body + middle + b',"falcowatch":{"id":"' + identity.encode(errors="replace") + b'","node":"n"' + tail
    )
