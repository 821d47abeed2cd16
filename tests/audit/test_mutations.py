"""Each way to change a stored history is found, named and placed."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent.audit.history import RawEvent
from agent.audit.key_macs import KeyFileMacs
from agent.audit.kinds import Kind
from agent.audit.report import AuditResult
from tests.audit.audited import audited, kinds, problems, shown
from tests.audit.history import HEARTBEAT_MS, POD, Node, alert, changed
from tests.audit.test_honest_histories import play, stories

SECRET = b"the key of the tests"
HOUR_MS = 3_600_000
NOT_COVERED = {Kind.IN_A_GAP, Kind.LEFT_OUT, Kind.REPLAYED}
"""Events that arrived although no seal counts them. The report names them, and nobody would miss them."""


@pytest.fixture
def node() -> Node:
    """Two files, five seals with events between them, and a clean end."""
    node = Node(secret=SECRET)
    for _ in range(3):
        node.write(6)
        node.read(6)
        node.seal()
    node.rotate()
    node.write(6)
    node.read(6)
    node.leave()
    return node


def audit(node: Node, **more):
    return audited(node.events, node.now_ms + HOUR_MS, macs=KeyFileMacs(SECRET), **more)


def records(node: Node) -> list[int]:
    """The places of the events that were made from records."""
    return [place for place, event in enumerate(node.events) if not id_of(event).startswith("self:")]


def seals(node: Node) -> list[int]:
    return [place for place, event in enumerate(node.events) if b'"seal":{' in event.message]


def id_of(event: RawEvent) -> str:
    return event.message.rpartition(b'"falcowatch":{"id":"')[2].partition(b'"')[0].decode()


def is_inside(event_id: str, where: str) -> bool:
    """Whether a range such as `<file> [0, 500)` holds the record."""
    file, _, offset = event_id.rpartition(":")
    name, _, numbers = where.partition(" ")
    start, end = numbers.strip("[)").split(", ")
    return file == name and int(start) <= int(offset) < int(end)


def test_the_history_proves_before_it_is_mutated(node: Node):
    result = audit(node)

    assert result.exit_code == 0, shown(result)
    assert (result.nodes[0].events, result.nodes[0].proved) == (24, 24)


def test_a_deleted_event_is_missed_in_the_range_between_two_seals(node: Node):
    gone = node.events.pop(records(node)[8])

    found = problems(audit(node))

    (where,) = found.pop(Kind.COUNT_DIFFERS)
    assert not found
    assert is_inside(id_of(gone), where)
    assert "[0," not in where  # the first seal of the segment proves, so the range begins behind it


def test_two_deleted_events_are_missed_in_their_two_ranges(node: Node):
    gone = [node.events.pop(records(node)[place]) for place in (15, 8)]

    found = problems(audit(node))

    assert all(any(is_inside(id_of(event), where) for where in found[Kind.COUNT_DIFFERS]) for event in gone)
    assert len(found[Kind.COUNT_DIFFERS]) == 2


def test_one_changed_byte_of_an_alert_is_placed(node: Node):
    place = next(place for place in records(node) if b'"priority":"Notice"' in node.events[place].message)
    node.events[place] = changed(node.events[place], b"Notice", b"notice")

    found = problems(audit(node))

    (where,) = found.pop(Kind.DIGEST_DIFFERS)
    assert not found
    assert is_inside(id_of(node.events[place]), where)


def test_two_alerts_exchanged_between_files_differ_in_both_files():
    node = Node()
    for _ in range(2):
        node.write_each_shape()
        node.read(100)
        node.rotate()
    node.leave()
    ours = [place for place in records(node) if alert(b"")[:10] in node.events[place].message]
    first, second = ours[0], ours[-1]
    one, other = (node.events[place].message for place in (first, second))
    cut = b',"falcowatch":'
    node.events[first] = node.events[first]._replace(message=other.partition(cut)[0] + cut + one.partition(cut)[2])
    node.events[second] = node.events[second]._replace(message=one.partition(cut)[0] + cut + other.partition(cut)[2])

    found = problems(audited(node.events, node.now_ms))

    assert len(found.pop(Kind.DIGEST_DIFFERS)) == 2
    assert not found


def test_a_forged_alert_with_a_plausible_id_in_a_sealed_range_is_one_too_many(node: Node):
    real = node.events[records(node)[7]]
    file, _, offset = id_of(real).rpartition(":")
    node.events.append(changed(real, f":{offset}".encode(), f":{int(offset) + 1}".encode()))

    found = problems(audit(node))

    (where,) = found.pop(Kind.COUNT_DIFFERS)
    assert not found
    assert is_inside(f"{file}:{int(offset) + 1}", where)


def test_a_forged_alert_behind_the_end_of_a_file_is_not_sealed(node: Node):
    real = node.events[records(node)[5]]
    offset = id_of(real).rpartition(":")[2]
    node.events.append(changed(real, f":{offset}".encode(), b":999999"))

    found = problems(audit(node))

    assert found == {Kind.EVENT_NOT_SEALED: [id_of(node.events[-1])]}


def test_a_forged_alert_with_the_id_of_a_real_one_is_named(node: Node):
    real = next(node.events[place] for place in records(node) if b'"Notice"' in node.events[place].message)
    node.events.append(changed(real, b"Notice", b"Debug"))

    assert problems(audit(node)) == {Kind.EVENT_ALTERED: [id_of(real)]}


def test_the_same_event_with_other_metadata_is_a_duplicate():
    node = Node()
    node.write_each_shape()
    node.read(100)
    node.leave()
    real = next(event for event in node.events if POD in event.message)
    node.events.append(changed(real, b'"shop"', b'"other"'))

    result = audited(node.events, node.now_ms)

    assert result.exit_code == 0
    assert result.nodes[0].duplicates == 1


def test_a_forged_heartbeat_without_a_seal_is_named(node: Node):
    node.events.insert(20, node.events[0]._replace(message=forged_heartbeat(node), time_ms=node.events[20].time_ms))

    assert problems(audit(node)) == {Kind.HEARTBEAT_FORGED: ["self:17:4"]}


def forged_heartbeat(node: Node) -> bytes:
    return b'{"rule":"Falcowatch: heartbeat","falcowatch":{"id":"self:17:4","node":"%b"}}' % node.name.encode()


def test_a_forged_seal_with_a_real_number_is_a_second_one(node: Node):
    real = next(node.events[place] for place in seals(node) if b'"number":3,' in node.events[place].message)
    node.events.append(changed(real, b'"shipped":', b'"shipped":1'))

    found = problems(audit(node))

    assert f"chain {node.chain}, seal 3" in found[Kind.NODE_REWOUND]
    assert found[Kind.MAC_WRONG] == [f"chain {node.chain}, seal 3"]


def test_a_changed_seal_breaks_the_chain_behind_it(node: Node):
    place = next(place for place in seals(node) if b'"number":2,' in node.events[place].message)
    node.events = [event for event in node.events if b'"number":2,' not in event.message] + [
        changed(node.events[place], b'"priority":"Informational"', b'"priority":"Notice"')
    ]

    found = problems(audit(node))

    assert found[Kind.CHAIN_BROKEN] == [f"chain {node.chain}, seal 3"]
    assert found[Kind.MAC_WRONG] == [f"chain {node.chain}, seal 2"]


def test_a_deleted_seal_is_missing_by_its_number(node: Node):
    node.events = [event for event in node.events if b'"number":3,' not in event.message]

    assert problems(audit(node)) == {Kind.SEAL_MISSING: [f"chain {node.chain}, seal 3"]}


def test_a_tail_that_was_cut_off_leaves_a_node_that_stopped(node: Node):
    last_but_two = seals(node)[-3]
    node.events = node.events[: last_but_two + 1]

    found = problems(audit(node))

    assert set(found) == {Kind.NODE_STOPPED}


def test_a_deleted_stream_is_missed(node: Node):
    node.events = [event for event in node.events if not event.stream.endswith("/urgent")]

    found = problems(audit(node))

    assert set(found) == {Kind.COUNT_DIFFERS}


def test_a_deleted_stream_with_the_seals_leaves_events_without_seals(node: Node):
    node.events = [event for event in node.events if event.stream.endswith("/urgent")]

    assert problems(audit(node)) == {Kind.NO_SEALS: ["node-1"]}


def test_a_chain_that_was_restarted_says_so():
    node = Node()
    node.write(3)
    node.read(3)
    node.seal()
    node.lose_state()
    node.read(3)
    node.leave()

    found = problems(audited(node.events, node.now_ms))

    assert found == {Kind.CHAIN_RESTARTED: [f"chain {node.chain}, seal 1"]}


def test_a_wrong_key_fits_no_seal(node: Node):
    result = audited(node.events, node.now_ms, macs=KeyFileMacs(b"another key"))

    assert set(problems(result)) == {Kind.MAC_WRONG}
    assert result.nodes[0].findings.counts[Kind.MAC_WRONG] == 5


def test_a_seal_without_a_code_is_named_when_a_key_is_given():
    node = Node()
    node.leave()

    assert set(problems(audited(node.events, node.now_ms, macs=KeyFileMacs(SECRET)))) == {Kind.MAC_MISSING}


def test_a_node_that_was_set_back_seals_one_number_twice():
    node = Node(seed=1)
    node.write(3)
    node.read(3)
    node.seal()
    number, previous = node.number, node.previous
    node.write(3)
    node.read(3)
    node.seal()
    node.number, node.previous = number, previous
    node.write(3)
    node.read(3)
    node.leave()

    found = problems(audited(node.events, node.now_ms))

    assert found == {Kind.NODE_REWOUND: [f"chain {node.chain}, seal 3"]}


def test_a_whole_chain_forged_by_another_is_a_second_chain(node: Node):
    forger = Node(node.name, seed=99, secret=b"not the key")
    forger.leave()
    node.events += forger.events

    found = problems(audit(node))

    assert Kind.CHAIN_RESTARTED in found
    assert Kind.MAC_WRONG in found


def test_bytes_that_no_seal_states_are_a_hole(node: Node):
    """The agent would have to forget them; a forger who has the key could."""
    node = Node()
    node.write(6)
    node.read(3)
    node.seal()
    file = node._reading()
    node._position[file.id] += file.records[3].size
    node._new_segment(file, node._position[file.id])
    node.read(10)
    node.leave()

    found = problems(audited(node.events, node.now_ms))

    start = file.records[3].offset
    assert found == {Kind.HOLE: [f"{file.id} [{start}, {start + file.records[3].size})"]}


def test_an_event_with_an_id_of_no_agent_is_named(node: Node):
    node.events.append(
        node.events[0]._replace(message=b'{"rule":"R","falcowatch":{"id":"../etc/passwd","node":"node-1"}}')
    )

    assert set(problems(audit(node))) == {Kind.ID_MALFORMED}


def test_a_seal_that_cannot_be_read_is_named(node: Node):
    place = seals(node)[-1]
    node.events[place] = changed(node.events[place], b'"version":1', b'"version":[1]')

    assert Kind.SEAL_UNREADABLE in problems(audit(node))


def test_a_deletion_within_a_chosen_time_is_found_although_the_files_are_older():
    node = Node()
    for _ in range(10):
        node.write(6)
        node.read(6)
        node.seal()
    node.leave()
    middle = node.events[len(node.events) // 2].time_ms
    late = [place for place in records(node) if node.events[place].time_ms > middle + 2 * HEARTBEAT_MS]
    honest = audited(node.events, node.now_ms, from_ms=middle)
    gone = node.events.pop(late[3])

    found = problems(audited(node.events, node.now_ms, from_ms=middle))

    assert honest.exit_code == 3
    (where,) = found.pop(Kind.COUNT_DIFFERS)
    assert not found
    assert is_inside(id_of(gone), where)


def test_a_whole_segment_that_was_deleted_is_found_within_a_chosen_time_when_seals_say_since_when():
    node = Node(since=True)
    for _ in range(4):
        node.write(6)
        node.read(6)
        node.seal()
    middle = node.now_ms - 2 * HEARTBEAT_MS
    node.rotate()
    node.write(6)
    node.read(6)
    node.seal()
    new_file = id_of(node.events[records(node)[-1]]).partition(":")[0]
    node.leave()
    node.events = [event for event in node.events if not id_of(event).startswith(new_file)]

    found = problems(audited(node.events, node.now_ms, from_ms=middle))

    assert [where.partition(" ")[0] for where in found[Kind.COUNT_DIFFERS]] == [new_file]


@given(seed=st.integers(0, 2**32), steps=stories, data=st.data())
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_a_mutated_history_never_proves(seed: int, steps: list[str], data: st.DataObject):
    node = Node(seed=seed, secret=SECRET)
    play(node, ["write", "read", *steps, "write", "read", "seal"])
    node.leave()
    honest = audit(node)
    assume(honest.exit_code == 0 and not kinds(honest) & NOT_COVERED)
    mutation = data.draw(st.sampled_from(["delete", "change", "forge", "delete seal", "change seal"]))
    # A segment with rejected records is proved by count, not by the bytes of its events.
    assume(mutation != "change" or not honest.nodes[0].rejected)
    of_seals = mutation.endswith("seal")
    place = data.draw(st.sampled_from(seals(node) if of_seals else records(node)))
    event = node.events[place]
    if mutation.startswith("delete"):
        # A copy that was sent again proves the record as well as the first one.
        node.events = [other for other in node.events if id_of(other) != id_of(event)]
        assume(seals(node))
    elif mutation == "forge":
        offset = id_of(event).rpartition(":")[2]
        forged = changed(event, f":{offset}".encode(), f":{int(offset) + 1}".encode())
        # CloudWatch itself says when it took an event.
        node.events.append(forged._replace(ingested_ms=node.now_ms))
    else:
        message = bytearray(event.message)
        at = data.draw(st.integers(1, message.rfind(b',"falcowatch":') - 2))
        message[at] ^= data.draw(st.sampled_from([0x01, 0x02, 0x04]))
        node.events[place] = event._replace(message=bytes(message))
        assume(not is_metadata(event.message, at))

    result = audit(node)

    assert result.exit_code == 1 or is_open(mutation, result), shown(result)


def is_metadata(message: bytes, at: int) -> bool:
    """The pod, the runtime's stream and time are not Falco's own bytes."""
    pod = message.find(POD)
    if 0 <= pod <= at < pod + len(POD):
        return True
    # Of a wrapped line only `log` is Falco's, and of a shortened event only the digest.
    return b'"truncated":' in message or b'"sha256":"' in message or message.startswith(b'{"log":')


def is_open(mutation: str, result: AuditResult) -> bool:
    """Not proved either: the first seals look as if they had expired, or the filters were changed at a kill."""
    return result.exit_code == 3 and (mutation == "delete seal" or Kind.UNDECIDED in kinds(result))


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=150)
def test_one_changed_bit_anywhere_in_an_alert_is_found(at: int, bit: int):
    node = Node(secret=SECRET)
    node._write_one(lambda _, mark: (alert(mark), alert(mark), alert(mark)[:-1] + POD, b""))
    node.read()
    node.leave()
    place = records(node)[0]
    message = bytearray(node.events[place].message)
    message[at % message.find(POD)] ^= 1 << bit
    node.events[place] = node.events[place]._replace(message=bytes(message))

    assert audit(node).exit_code == 1
