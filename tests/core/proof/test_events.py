"""The canonical bytes of an event are those of the record that it was made from, whatever the agent made of it."""

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core.processing.kinds import Policy
from agent.core.processing.result import ProcessingResult
from agent.core.proof.canonical import by_digest, canonical
from agent.core.proof.events import _KNOWN_PODS, EventReader, Foreign, OwnEvent, RecordEvent
from agent.core.reading.records import Mark, UnusualRecord
from tests.core.processing.chunks import STAMP, alert, process

MIB = 1024 * 1024
OLD = "2020-11-23T07:53:51.905525426Z"


def read_back(result: ProcessingResult) -> list[RecordEvent]:
    """What a verifier reads in the messages of all lanes."""
    reader = EventReader()
    found = [reader.read(message.encode()) for span in result.spans.values() for message in span.messages]
    assert all(isinstance(event, RecordEvent) for event in found), found
    return [event for event in found if isinstance(event, RecordEvent)]


def unusual(payload: bytes, mark: Mark) -> UnusualRecord:
    return UnusualRecord(payload, 0, STAMP + b" stdout F " + payload, mark)


PAYLOADS = {
    "an alert about a pod": alert(),
    "an alert about the host": alert(output_fields={"container.id": "host"}),
    "an alert with white space at its end": alert() + b" \t\r",
    "an alert with bytes that are not UTF-8": alert().replace(b'"R"', b'"\xff\xfe"'),
    "an alert with an object like the agent's": alert(inner={"a": 1, "kubernetes": {"b": [1]}}),
    "an alert with the agent's keys in a text": alert(output=',"kubernetes":{},"falcowatch":{"id":"a:1"}}'),
    "an alert of more than 64 KiB": alert(output="x" * 70_000),
    "an alert that is too big for CloudWatch": alert(output="y" * 2 * MIB),
    "the same with white space": alert(output="y" * 2 * MIB) + b"  ",
    "the same with bytes that are not UTF-8": alert(output="y" * 2 * MIB).replace(b'"R"', b'"\xff"'),
    "an alert whose time was adjusted": alert(time=OLD),
    "an alert with the keys of a wrapped line": b'{"log":"x","stream":"y","rule":"R","priority":"Notice"}',
    "a text": b'Falco initialized \xe2\x82\xac \\ "quoted" ',
    "a text with bytes that are not UTF-8": b"\xff\xfe text",
    "a text of more than 64 KiB": b"z" * 70_000,
    "a text that is too big for CloudWatch": b"z\x01" * MIB,
    "an alert that Falco printed as text": b"07:54:09.550044850: Notice Shell spawned by untrusted binary",
    "other JSON": b'{"a":1}',
    "a forged alert": alert(falcowatch={"id": "self:1"}),
    "a forged alert that is too big": alert(falcowatch={"id": "self:1"}, output="y" * 2 * MIB),
    "a forged own event": alert(source="falcowatch", rule="Falcowatch: heartbeat"),
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("met", [True, False])
def test_the_canonical_bytes_of_an_event_are_those_of_the_record(name: str, met: bool):
    payload = PAYLOADS[name]

    (event,) = read_back(process(payload, met=met))

    assert event == RecordEvent("node-1", "f00", 0, canonical(payload))


@pytest.mark.parametrize("payload", [b"odd {", b"odd" * 50_000, b"\xff" * 70_000, b"\xff" * 30_000])
def test_the_event_of_a_defect_has_them_too(payload: bytes):
    result = process(unusual=unusual(payload, Mark(defect=ValueError("for the test"))), met=False)

    (event,) = read_back(result)

    assert event.canonical == canonical(payload)


def test_an_event_of_the_head_of_a_record_has_the_digest_of_the_whole():
    digest = sha256(b"the whole").hexdigest()
    result = process(unusual=unusual(alert(), Mark(size=5 * MIB, digest=digest)), met=False)

    (event,) = read_back(result)

    assert event.canonical == by_digest(digest)


@given(text=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@example(text=b'{"log":"","stream":""}')
@example(text=b'{"log":"","stream":"","truncated":{"size":1,"sha256":""}}')
def test_any_line_that_ships_has_the_same_canonical_bytes(text: bytes):
    payload = text.replace(b"\n", b"").replace(b"\0", b"")

    for event in read_back(process(payload, policy=Policy(), met=False, own_stamps=False)):
        assert event.canonical == canonical(payload)


@given(output=st.text(max_size=60), key=st.text(max_size=20), value=st.recursive(st.text(max_size=5), st.lists))
def test_any_alert_that_ships_has_the_same_canonical_bytes(output: str, key: str, value: object):
    payload = alert(output=output, **{key: value} if key not in ("rule", "priority", "time") else {})

    for event in read_back(process(payload, met=False)):
        assert event.canonical == canonical(payload)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b'{"rule":"Falcowatch: gap","falcowatch":{"id":"self:gap:1","node":"n"}}', OwnEvent("n", "self:gap:1", False)),
        (
            b'{"rule":"Falcowatch: heartbeat","falcowatch":{"id":"self:1:2","node":"n"}}',
            OwnEvent("n", "self:1:2", True),
        ),
        (b'{"rule":"x","falcowatch":{"id":"self:seal:a:2","node":"n"}}', OwnEvent("n", "self:seal:a:2", True)),
        (b'{"rule":"x","falcowatch":{"id":"control:5","node":"n"}}', OwnEvent("n", "control:5", False)),
    ],
)
def test_an_own_event_is_told_by_its_id(message: bytes, expected: OwnEvent):
    assert EventReader().read(message) == expected


@pytest.mark.parametrize("message", [b"", b"text", b'{"a":1}', b'{"falcowatch":{"id":"f:1","node":"n"}}'])
def test_a_message_of_another_program_names_no_node(message: bytes):
    found = EventReader().read(message)

    assert isinstance(found, Foreign)
    assert found.node == ""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b'{"a":1,"falcowatch":{"id":"f:1"}}', Foreign("", "its id cannot be read")),
        (b'{"a":1,"falcowatch":{"id":"\xff:1","node":"n"}}', Foreign("", "its id cannot be read")),
        (b'{"a":1,"falcowatch":{"id":"f","node":"n"}}', Foreign("n", "its id has the form of no agent's id")),
        (b'{"a":1,"falcowatch":{"id":"f:x","node":"n"}}', Foreign("n", "its id has the form of no agent's id")),
        (
            b'{"a":1,"falcowatch":{"id":"f:%d","node":"n"}}' % 2**63,
            Foreign("n", "its id has the form of no agent's id"),
        ),
        (
            b'{"log":"x","falcowatch":{"id":"f:1","node":"n","defect":"ValueError"}}',
            Foreign("n", "the record in it cannot be read"),
        ),
        (
            b'{"log":"\\ud","stream":"stdout","falcowatch":{"id":"f:1","node":"n"}}',
            Foreign("n", "the record in it cannot be read"),
        ),
    ],
)
def test_a_message_that_no_agent_writes_is_foreign(message: bytes, expected: Foreign):
    assert EventReader().read(message) == expected


def test_an_own_event_whose_rule_cannot_be_read_is_no_heartbeat():
    message = b'{"rule":5,"falcowatch":{"id":"self:1:2","node":"n"}}'

    assert EventReader().read(message) == OwnEvent("n", "self:1:2", False)


def test_an_alert_with_the_keys_of_a_wrapped_line_is_an_alert():
    alert_like = b'{"log":"x","stream":"y","rule":"R"'
    message = alert_like + b',"falcowatch":{"id":"f:1","node":"n"}}'

    assert EventReader().read(message) == RecordEvent("n", "f", 1, alert_like + b"}")


def appended(body: bytes, pod: bytes) -> bytes:
    return b'%b,"kubernetes":%b,"falcowatch":{"id":"f:1","node":"n"}}' % (body, pod)


def test_a_pod_is_cut_off_and_so_is_the_same_pod_of_the_next_event():
    reader, pod = EventReader(), b'{"pod_name":"p"}'

    for body in (b'{"rule":"R","n":1', b'{"rule":"R","n":2'):
        assert reader.read(appended(body, pod)) == RecordEvent("n", "f", 1, body + b"}")


def test_an_object_that_only_looks_like_a_pod_belongs_to_the_alert():
    message = b'{"a":{"b":1,"kubernetes":{"c":1}},"falcowatch":{"id":"f:1","node":"n"}}'

    expected = b'{"a":{"b":1,"kubernetes":{"c":1}}}'
    assert EventReader().read(message) == RecordEvent("n", "f", 1, expected)


def test_the_number_of_remembered_pods_is_bounded():
    reader = EventReader()

    for number in range(_KNOWN_PODS + 10):
        read = reader.read(appended(b'{"rule":"R"', b'{"pod_name":"p-%d"}' % number))
        assert read == RecordEvent("n", "f", 1, b'{"rule":"R"}')

    assert len(reader._pods) <= _KNOWN_PODS
