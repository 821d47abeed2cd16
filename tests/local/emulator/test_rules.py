"""Every limit of PutLogEvents: tables of cases, and random batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.local.emulator.replies import ServiceError
from agent.local.emulator.rules import (
    DAY_MS,
    MAX_AGE_MS,
    MAX_BATCH_BYTES,
    MAX_FUTURE_MS,
    Rejected,
    check_batch,
    check_entity,
)

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def event(age_ms: int = 0, message: object = "x") -> dict[str, object]:
    return {"timestamp": NOW_MS - age_ms, "message": message}


def refusal(log_events: object, retention_days: int | None = None) -> tuple[str, str]:
    with pytest.raises(ServiceError) as raised:
        check_batch(log_events, now_ms=NOW_MS, retention_days=retention_days)
    return raised.value.code, raised.value.message


def rejected(*ages_ms: int, retention_days: int | None = None) -> Rejected | None:
    return check_batch([event(age) for age in ages_ms], now_ms=NOW_MS, retention_days=retention_days).rejected


@pytest.mark.parametrize(
    ("log_events", "says"),
    [
        (None, "Value null at 'logEvents'"),
        ([], "length between 1 and 10000"),
        ([event()] * 10_001, "length between 1 and 10000"),
        ([event(), event(message="")], "logEvents.2.member.message"),
        ([{"timestamp": NOW_MS}], "Value null at 'logEvents.1.member.message'"),
        ([{"message": "x"}], "Value null at 'logEvents.1.member.timestamp'"),
        ([{"timestamp": -1, "message": "x"}], "greater than or equal to 0"),
        ([event(0), event(1)], "chronological order"),
        ([event(message="x" * 1_048_577)], "Log event too large: 1048577 bytes"),
        ([event(message="x" * 1_048_551)], "Upload too large: 1048577 bytes"),
        ([event(message="ü" * 524_276)], "Upload too large"),
        ([event(message="x" * 500_000)] * 2 + [event(message="x" * 48_499)], "Upload too large: 1048577 bytes"),
        ([event(DAY_MS + 1), event(0)], "cannot span more than 24 hours"),
    ],
)
def test_a_batch_beyond_a_limit_is_refused_as_a_whole(log_events: object, says: str):
    code, message = refusal(log_events)

    assert code == "InvalidParameterException"
    assert says in message


@pytest.mark.parametrize(
    "log_events",
    [
        "text",
        {"timestamp": 1},
        ["text"],
        [event(message=7)],
        [event(message=["x"])],
        [{"timestamp": "1", "message": "x"}],
        [{"timestamp": 1.5, "message": "x"}],
        [{"timestamp": True, "message": "x"}],
    ],
)
def test_a_member_of_the_wrong_json_type_is_a_serialization_error(log_events: object):
    assert refusal(log_events)[0] == "SerializationException"


@pytest.mark.parametrize(
    "log_events",
    [
        [event()] * 10_000,
        [event(message="x" * 1_048_550)],
        [event(message="ü" * 524_275)],
        [event(message="x" * 500_000)] * 2 + [event(message="x" * 48_498)],
        [event(DAY_MS), event(0)],
        [event(MAX_AGE_MS)],
        [event(-MAX_FUTURE_MS)],
    ],
)
def test_a_batch_at_a_limit_is_accepted_whole(log_events: list[dict[str, object]]):
    batch = check_batch(log_events, now_ms=NOW_MS, retention_days=None)

    assert batch.rejected is None
    assert len(batch.timestamps) == len(log_events)
    assert batch.counted_bytes <= MAX_BATCH_BYTES


OLD, NEW = MAX_AGE_MS + 1, -MAX_FUTURE_MS - 1


@pytest.mark.parametrize(
    ("ages", "retention_days", "expected"),
    [
        ((OLD, OLD, 0, NEW, NEW), None, Rejected(too_old_end=2, too_new_start=3, expired_end=None)),
        ((OLD,), None, Rejected(too_old_end=1, too_new_start=None, expired_end=None)),
        ((NEW,), None, Rejected(too_old_end=None, too_new_start=0, expired_end=None)),
        ((OLD, NEW), None, Rejected(too_old_end=1, too_new_start=1, expired_end=None)),
        ((2 * DAY_MS, DAY_MS + 1, DAY_MS, 0), 1, Rejected(too_old_end=None, too_new_start=None, expired_end=2)),
        ((OLD, 3 * DAY_MS, 0), 1, Rejected(too_old_end=1, too_new_start=None, expired_end=2)),
        ((OLD, 0), 30, Rejected(too_old_end=1, too_new_start=None, expired_end=None)),
        ((40 * DAY_MS, OLD, 0), 30, Rejected(too_old_end=2, too_new_start=None, expired_end=1)),
    ],
)
def test_events_that_are_too_old_or_too_new_are_rejected_by_index(
    ages: tuple[int, ...], retention_days: int | None, expected: Rejected
):
    assert rejected(*ages, retention_days=retention_days) == expected


def test_the_24_hour_span_is_measured_over_valid_events_only():
    assert rejected(OLD + DAY_MS, 20 * HOUR_MS, 0) == Rejected(1, None, None)


def test_accepted_events_keep_their_messages_when_others_are_rejected():
    log_events = [event(OLD, "old"), event(1, "ü"), event(0, "b"), event(NEW, "new")]

    batch = check_batch(log_events, now_ms=NOW_MS, retention_days=None)

    assert (list(batch.timestamps), list(batch.lengths), batch.payload) == (
        [NOW_MS - 1, NOW_MS],
        [2, 1],
        "ü\nb".encode(),
    )


messages = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.lists(st.tuples(st.integers(0, 30 * DAY_MS), messages), min_size=1, max_size=30), st.sampled_from([None, 1, 7])
)
def test_any_batch_is_refused_whole_or_accepted_event_by_event(given_events: list[tuple[int, str]], days: int | None):
    start = NOW_MS - 16 * DAY_MS
    ordered = sorted((start + offset, message) for offset, message in given_events)
    kept_since = max(NOW_MS - MAX_AGE_MS, NOW_MS - days * DAY_MS if days else 0)
    valid = [item for item in ordered if kept_since <= item[0] <= NOW_MS + MAX_FUTURE_MS]
    log_events = [{"timestamp": timestamp, "message": message} for timestamp, message in ordered]

    if valid and valid[-1][0] - valid[0][0] > DAY_MS:
        assert "24 hours" in refusal(log_events, days)[1]
        return
    batch = check_batch(log_events, now_ms=NOW_MS, retention_days=days)

    assert list(batch.timestamps) == [timestamp for timestamp, _ in valid]
    assert list(batch.lengths) == [len(message.encode()) for _, message in valid]
    assert batch.payload == "\n".join(message for _, message in valid).encode()
    assert (batch.rejected is None) == (len(valid) == len(ordered))


KEYS = {"Type": "Service", "Name": "falco"}


@pytest.mark.parametrize(
    ("entity", "log_class", "expected"),
    [
        (None, "STANDARD", None),
        ({"keyAttributes": KEYS}, "STANDARD", None),
        ({"keyAttributes": KEYS, "attributes": {"EKS.Cluster": "prod"}}, "STANDARD", None),
        ({"keyAttributes": KEYS}, "INFREQUENT_ACCESS", "UnsupportedLogGroupType"),
        ({}, "STANDARD", "MissingRequiredFields"),
        ({"keyAttributes": {"Name": "falco"}}, "STANDARD", "MissingRequiredFields"),
        ({"keyAttributes": KEYS | {"Type": "Potato"}}, "STANDARD", "InvalidTypeValue"),
        ({"keyAttributes": KEYS | {"Colour": "red"}}, "STANDARD", "InvalidKeyAttributes"),
        ({"keyAttributes": KEYS | {"Name": "n" * 513}}, "STANDARD", "InvalidKeyAttributes"),
        ({"keyAttributes": {"Type": "Service"}}, "STANDARD", "InvalidKeyAttributes"),
        ({"keyAttributes": KEYS, "attributes": {str(n): "v" for n in range(11)}}, "STANDARD", "InvalidAttributes"),
        ({"keyAttributes": KEYS, "attributes": {"k" * 257: "v"}}, "STANDARD", "InvalidAttributes"),
        ({"keyAttributes": KEYS, "attributes": {"k": 1}}, "STANDARD", "InvalidEntity"),
        ({"keyAttributes": ["Type"]}, "STANDARD", "InvalidEntity"),
    ],
)
def test_an_invalid_entity_is_rejected_with_its_error_type(entity: object, log_class: str, expected: str | None):
    assert check_entity(entity, log_class) == expected
