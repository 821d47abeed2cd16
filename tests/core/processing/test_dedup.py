"""Identical alerts beyond the limit form groups. Each alert ships or is in exactly one group, and settles once."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.alert import decode_alert
from agent.core.processing.dedup import GRACE_MS, MINUTE_MS, MOST_IDS, MOST_RECORDS, MOST_WINDOWS, Deduplicator, Group
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST, FindFragment, ProcessingResult
from agent.core.reading.ledger import Ledger
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Records
from agent.core.values import Lane, PodKey

NOW_MS = 1_795_418_580_000
KEYS = ("container.id", "proc.name")


def line(*, rule: str = "R", priority: str = "Notice", fields: object = None) -> bytes:
    if fields is None:
        fields = {"container.id": "3f2b8a342f11", "proc.name": "sh", "evt.time": 1}
    return orjson.dumps({"rule": rule, "priority": priority, "source": "syscall", "output_fields": fields})


def grouped(
    deduplicator: Deduplicator, *alerts: tuple[bytes, int], file: str = "f", now_ms: int = NOW_MS
) -> list[bool]:
    """Which of the alerts, in one chunk, join a group."""
    draft = deduplicator.draft(file)
    answers = [
        draft.takes(decode_alert(payload), payload, time_ms, offset) for offset, (payload, time_ms) in enumerate(alerts)
    ]
    deduplicator.keep(draft, now_ms)
    return answers


def test_alerts_beyond_the_limit_of_a_minute_are_grouped_and_the_next_minute_starts_again() -> None:
    deduplicator = Deduplicator(2, KEYS)

    answers = grouped(deduplicator, *[(line(), NOW_MS + second * 1000) for second in range(0, 120, 20)])

    assert answers == [False, False, True, False, False, True]


def test_the_limit_holds_across_chunks() -> None:
    deduplicator = Deduplicator(3, KEYS)

    answers = [grouped(deduplicator, (line(), NOW_MS), (line(), NOW_MS)) for _ in range(3)]

    assert answers == [[False, False], [False, True], [True, True]]
    [group] = deduplicator.take_all()
    assert group.count == 3


@pytest.mark.parametrize(
    "other",
    [
        line(rule="Other"),
        line(priority="Warning"),
        line(fields={"container.id": "0f2b8a342f11", "proc.name": "sh"}),
        line(fields={"container.id": "3f2b8a342f11"}),
        line(fields={"container.id": "3f2b8a342f11", "proc.name": None}),
    ],
)
def test_alerts_that_differ_in_rule_priority_or_a_configured_field_are_not_identical(other: bytes) -> None:
    assert grouped(Deduplicator(1, KEYS), (line(), NOW_MS), (other, NOW_MS)) == [False, False]


def test_fields_that_are_not_configured_make_no_difference() -> None:
    other = line(fields={"proc.name": "sh", "container.id": "3f2b8a342f11", "evt.time": 2, "x": {"y": [1]}})

    assert grouped(Deduplicator(1, KEYS), (line(), NOW_MS), (other, NOW_MS)) == [False, True]


@pytest.mark.parametrize("fields", [{}, {"container.id": None}, "text", [1], {"proc.name": "x" * 5000}])
def test_an_alert_without_any_configured_field_or_with_huge_ones_is_never_grouped(fields: object) -> None:
    payload = line(fields=fields)
    alert = decode_alert(line())

    draft = Deduplicator(1, KEYS).draft("f")

    assert [draft.takes(alert, payload, NOW_MS, offset) for offset in range(3)] == [False, False, False]


def test_without_keys_the_rule_alone_is_compared() -> None:
    deduplicator = Deduplicator(1, ())

    assert grouped(deduplicator, (line(), NOW_MS), (line(fields={"a": 1}), NOW_MS)) == [False, True]
    assert [deduplicator.values(group) for group in deduplicator.take_all()] == [{}]


def test_a_group_has_count_first_last_ids_values_and_pod() -> None:
    deduplicator = Deduplicator(1, KEYS)
    fields = {"container.id": "3f2b8a342f11", "proc.name": "sh", "k8s.ns.name": "default", "k8s.pod.name": "web"}
    times = [NOW_MS, NOW_MS + 5, NOW_MS + 2, *[NOW_MS + 3] * 30]

    grouped(deduplicator, *[(line(fields=fields), time_ms) for time_ms in times[:10]])
    grouped(deduplicator, *[(line(fields=fields), time_ms) for time_ms in times[10:]], file="g")

    [group] = deduplicator.take_all()
    assert (group.count, group.first_ms, group.last_ms) == (32, NOW_MS + 2, NOW_MS + 5)
    assert group.ids[:2] == ["f:1", "f:2"]
    assert len(group.ids) == MOST_IDS
    assert deduplicator.values(group) == {"container.id": b'"3f2b8a342f11"', "proc.name": b'"sh"'}
    assert group.pod == PodKey("default", "web", None, "3f2b8a342f11")


def test_a_group_over_several_pods_names_none() -> None:
    deduplicator = Deduplicator(1, ["proc.name"])

    for pod in ("a", "a", "b"):
        grouped(deduplicator, (line(fields={"proc.name": "sh", "k8s.pod.name": pod}), NOW_MS))

    [group] = deduplicator.take_all()
    assert (group.count, group.pod) == (2, None)


def test_a_group_ends_with_its_minute_and_later_alerts_form_a_new_group() -> None:
    deduplicator = Deduplicator(1, KEYS)
    ends_ms = NOW_MS // MINUTE_MS * MINUTE_MS + MINUTE_MS + GRACE_MS
    grouped(deduplicator, (line(), NOW_MS), now_ms=NOW_MS)
    grouped(deduplicator, (line(), NOW_MS), now_ms=ends_ms - 1)

    assert deduplicator.take(ends_ms - 1) == []
    [first] = deduplicator.take(ends_ms)
    grouped(deduplicator, (line(), NOW_MS), now_ms=ends_ms)
    [second] = deduplicator.take(ends_ms)

    assert (first.count, second.count) == (1, 1)
    assert first is not second


def test_a_group_of_a_backlog_ends_at_once_and_one_with_a_wrong_clock_within_a_minute() -> None:
    deduplicator = Deduplicator(1, KEYS)
    for time_ms in (NOW_MS - 3_600_000, NOW_MS + 3_600_000):
        grouped(deduplicator, (line(), time_ms), (line(), time_ms))

    assert len(deduplicator.take(NOW_MS)) == 1
    assert len(deduplicator.take(NOW_MS + MINUTE_MS + GRACE_MS)) == 1


def test_a_clock_that_is_set_back_ends_open_groups() -> None:
    deduplicator = Deduplicator(1, KEYS)
    grouped(deduplicator, (line(), NOW_MS), (line(), NOW_MS))

    assert len(deduplicator.take(NOW_MS - 1)) == 1


def test_alerts_that_were_not_seen_for_a_minute_are_forgotten() -> None:
    deduplicator = Deduplicator(1, KEYS)
    grouped(deduplicator, (line(), NOW_MS))

    deduplicator.take(NOW_MS + MINUTE_MS)

    assert grouped(deduplicator, (line(), NOW_MS)) == [False]


def test_the_number_of_counted_kinds_is_bounded_and_a_group_that_makes_room_ends() -> None:
    deduplicator = Deduplicator(1, KEYS)
    grouped(deduplicator, (line(), NOW_MS), (line(), NOW_MS))

    grouped(deduplicator, *[(line(rule=str(number)), NOW_MS) for number in range(MOST_WINDOWS)])

    [group] = deduplicator.take(NOW_MS)
    assert group.identity[1] == "R"
    assert grouped(deduplicator, (line(), NOW_MS)) == [False]


def test_a_group_with_very_many_records_ends_at_once() -> None:
    deduplicator = Deduplicator(1, KEYS)

    grouped(deduplicator, *[(line(), NOW_MS)] * (1 + MOST_RECORDS))

    assert [group.count for group in deduplicator.take(NOW_MS)] == [MOST_RECORDS]


def test_a_draft_that_is_not_kept_changes_nothing() -> None:
    deduplicator = Deduplicator(1, KEYS)
    draft = deduplicator.draft("f")
    assert [draft.takes(decode_alert(line()), line(), NOW_MS, offset) for offset in range(3)] == [False, True, True]

    assert grouped(deduplicator, (line(), NOW_MS)) == [False]
    assert deduplicator.take_all() == []


def test_grouped_records_settle_once_and_only_with_their_group() -> None:
    ledger = Ledger()
    first, second = ledger.enter(100, 3), ledger.enter(200, 2)
    group = Group((0, "R", "Notice", "syscall", ()), None)
    group.hold(first, 1)
    group.hold(first, 1)
    group.hold(second, 2)
    first.settle(1)
    assert (ledger.committed, ledger.in_flight) == (0, 4)

    group.settle()
    group.settle()

    assert (ledger.committed, ledger.in_flight) == (200, 0)


alerts = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["sh", "cat"]),
    st.integers(min_value=0, max_value=4).map(lambda half: NOW_MS + half * 30_000),
)
steps = st.one_of(st.lists(alerts, max_size=12), st.integers(min_value=0, max_value=90).map(lambda s: s * 1000))


@given(st.lists(steps, max_size=20), st.integers(min_value=1, max_value=3), st.data())
def test_every_alert_ships_or_is_in_exactly_one_group(history: list[object], limit: int, data: st.DataObject) -> None:
    """Chunks, drafts that are not kept, and time that passes, in any order."""
    deduplicator, ledger, now_ms = Deduplicator(limit, KEYS), Ledger(), NOW_MS
    shipped: Counter[tuple[str, str, int]] = Counter()
    wrote: Counter[tuple[str, str, int]] = Counter()
    ended: list[Group] = []
    offset = 0
    for step in history:
        if isinstance(step, int):
            now_ms += step
            ended += deduplicator.take(now_ms)
            continue
        assert isinstance(step, list)
        payloads = [
            (line(rule=rule, fields={"proc.name": name}), time_ms, (rule, name, time_ms // MINUTE_MS))
            for rule, name, time_ms in step
        ]
        for _ in range(data.draw(st.integers(min_value=1, max_value=2))):
            draft = deduplicator.draft("f")
            answers = [
                draft.takes(decode_alert(payload), payload, time_ms, offset + place)
                for place, (payload, time_ms, _) in enumerate(payloads)
            ]
        offset += len(payloads)
        entry = ledger.enter(offset, len(payloads))
        for group, records in deduplicator.keep(draft, now_ms).items():
            group.hold(entry, records)
        kept = [kind for (_, _, kind), joined in zip(payloads, answers, strict=True) if not joined]
        entry.settle(len(kept))
        shipped.update(kept)
        wrote.update(kind for _, _, kind in payloads)
        assert ledger.in_flight == deduplicator.held_records + sum(group.count for group in ended)
    ended += deduplicator.take_all()

    in_groups: Counter[tuple[str, str, int]] = Counter()
    for group in ended:
        minute, rule, _, _, values = group.identity
        in_groups[rule, orjson.loads(values[1]), minute] += group.count
        assert len(group.ids) == min(group.count, MOST_IDS)
    assert shipped + in_groups == wrote
    assert ledger.in_flight == in_groups.total()
    ids = [record_id for group in ended for record_id in group.ids]
    assert len(ids) == len(set(ids))

    for group in ended:
        group.settle()

    assert (ledger.in_flight, ledger.committed) == (0, offset)


def result(
    processor: Processor, payloads: list[bytes], find: FindFragment = lambda key, time_ms: HOST
) -> ProcessingResult:
    offsets = list(range(0, 1000 * len(payloads), 1000))
    lines = [b"2026-11-23T07:23:01.156686905Z stdout F " + payload for payload in payloads]
    return processor.process(Records(payloads, offsets, lines), file="f", line_format=Cri(), now_ms=NOW_MS, find=find)


def stamped(priority: str, name: str, pod: str = "", source: str = "syscall") -> bytes:
    fields = {"proc.name": name} | ({"k8s.pod.name": pod, "k8s.ns.name": "default"} if pod else {})
    return orjson.dumps(
        {"output_fields": fields, "priority": priority, "rule": "R", "source": source,
         "time": "2026-11-23T07:53:51.905525426Z"}
    )  # fmt: skip


def test_grouped_alerts_are_counted_and_neither_shipped_nor_filtered() -> None:
    processor = Processor(Policy(storm_limit=2, storm_keys=KEYS), node="n")

    out = result(processor, [stamped("Notice", "sh")] * 5)

    assert len(out.spans[Lane.ROUTINE]) == 2
    assert list(out.grouped.values()) == [3]
    assert [seen for _, seen in out.seen.items()] == [5]
    assert not out.filtered
    [group] = out.grouped
    assert group.ids == ["f:2000", "f:3000", "f:4000"]


@pytest.mark.parametrize(("priority", "source"), [("Critical", "syscall"), ("Emergency", "x"), ("Debug", "internal")])
def test_urgent_alerts_and_falco_s_own_are_never_grouped(priority: str, source: str) -> None:
    processor = Processor(Policy(storm_limit=1, storm_keys=KEYS), node="n")

    out = result(processor, [stamped(priority, "sh", source=source)] * 5)

    assert len(out.spans[Lane.URGENT]) == 5
    assert not out.grouped


def test_records_that_wait_for_their_pod_count_once() -> None:
    processor = Processor(Policy(storm_limit=2, storm_keys=KEYS), node="n")
    payloads = [stamped("Notice", "sh", pod="new")] * 5

    first = result(processor, payloads, lambda key, time_ms: None)
    [waiting] = first.unknown.values()
    second = processor.process(
        waiting, file="f", line_format=Cri(), now_ms=NOW_MS, find=lambda key, time_ms: HOST, deduplicate=False
    )

    assert list(first.grouped.values()) == [3]
    assert len(waiting) == len(second.spans[Lane.ROUTINE]) == 2
    assert not second.grouped


kinds = st.tuples(st.sampled_from(["Critical", "Notice", "Debug"]), st.sampled_from("abc"))


@given(st.lists(st.lists(kinds, max_size=30), max_size=5), st.integers(min_value=1, max_value=4))
def test_with_deduplication_as_many_alerts_ship_or_are_grouped_as_ship_without(
    chunks: list[list[tuple[str, str]]], limit: int
) -> None:
    without_groups = Processor(Policy("notice"), node="n")
    grouping = Processor(Policy("notice", storm_limit=limit, storm_keys=KEYS), node="n")
    for chunk in chunks:
        payloads = [stamped(priority, name) for priority, name in chunk]

        without, out = result(without_groups, payloads), result(grouping, payloads)

        assert out.filtered == without.filtered
        assert {kind.priority: n for kind, n in out.seen.items()} == {
            kind.priority: n for kind, n in without.seen.items()
        }
        assert out.spans[Lane.URGENT].messages == without.spans[Lane.URGENT].messages
        shipped, could = out.spans[Lane.ROUTINE], without.spans[Lane.ROUTINE]
        assert set(shipped.offsets) <= set(could.offsets)
        assert len(shipped) + sum(out.grouped.values()) == len(could)


def test_a_captured_burst_is_grouped_by_process_and_not_by_file() -> None:
    lines = (Path(__file__).parents[2] / "data" / "falco" / "0.44.1-burst.jsonl").read_bytes().splitlines()

    by_process = result(Processor(Policy(storm_limit=10, storm_keys=("container.id", "proc.name")), node="n"), lines)
    by_file = result(Processor(Policy(storm_limit=10, storm_keys=("proc.name", "fd.name")), node="n"), lines)

    assert sum(by_process.grouped.values()) == len(lines) - 10
    assert not by_file.grouped
