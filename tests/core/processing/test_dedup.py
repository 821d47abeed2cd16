"""Identical alerts beyond the limit fold; each alert ships or is in exactly one fold, and settles once."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.alert import decode_alert
from agent.core.processing.dedup import GRACE_MS, MINUTE_MS, MOST_IDS, MOST_RECORDS, MOST_WINDOWS, Deduplicator, Group
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST, FindFragment, Policy, ProcessingResult
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


def folded(storm: Deduplicator, *alerts: tuple[bytes, int], file: str = "f", now_ms: int = NOW_MS) -> list[bool]:
    """Passes them in one chunk, which counts."""
    draft = storm.draft(file)
    answers = [
        draft.folds(decode_alert(payload), payload, time_ms, offset) for offset, (payload, time_ms) in enumerate(alerts)
    ]
    storm.keep(draft, now_ms)
    return answers


def test_alerts_beyond_the_limit_of_a_minute_fold_and_the_next_minute_begins_anew() -> None:
    storm = Deduplicator(2, KEYS)

    answers = folded(storm, *[(line(), NOW_MS + second * 1000) for second in range(0, 120, 20)])

    assert answers == [False, False, True, False, False, True]


def test_the_limit_holds_across_chunks() -> None:
    storm = Deduplicator(3, KEYS)

    answers = [folded(storm, (line(), NOW_MS), (line(), NOW_MS)) for _ in range(3)]

    assert answers == [[False, False], [False, True], [True, True]]
    [fold] = storm.take_all()
    assert fold.count == 3


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
    assert folded(Deduplicator(1, KEYS), (line(), NOW_MS), (other, NOW_MS)) == [False, False]


def test_fields_that_are_not_configured_make_no_difference() -> None:
    other = line(fields={"proc.name": "sh", "container.id": "3f2b8a342f11", "evt.time": 2, "x": {"y": [1]}})

    assert folded(Deduplicator(1, KEYS), (line(), NOW_MS), (other, NOW_MS)) == [False, True]


@pytest.mark.parametrize("fields", [{}, {"container.id": None}, "text", [1], {"proc.name": "x" * 5000}])
def test_an_alert_without_any_configured_field_or_with_huge_ones_never_folds(fields: object) -> None:
    payload = line(fields=fields)
    alert = decode_alert(line())

    draft = Deduplicator(1, KEYS).draft("f")

    assert [draft.folds(alert, payload, NOW_MS, offset) for offset in range(3)] == [False, False, False]


def test_without_keys_the_rule_alone_is_compared() -> None:
    storm = Deduplicator(1, ())

    assert folded(storm, (line(), NOW_MS), (line(fields={"a": 1}), NOW_MS)) == [False, True]
    assert [storm.values(fold) for fold in storm.take_all()] == [{}]


def test_a_fold_knows_count_first_last_ids_values_and_pod() -> None:
    storm = Deduplicator(1, KEYS)
    fields = {"container.id": "3f2b8a342f11", "proc.name": "sh", "k8s.ns.name": "default", "k8s.pod.name": "web"}
    times = [NOW_MS, NOW_MS + 5, NOW_MS + 2, *[NOW_MS + 3] * 30]

    folded(storm, *[(line(fields=fields), time_ms) for time_ms in times[:10]])
    folded(storm, *[(line(fields=fields), time_ms) for time_ms in times[10:]], file="g")

    [fold] = storm.take_all()
    assert (fold.count, fold.first_ms, fold.last_ms) == (32, NOW_MS + 2, NOW_MS + 5)
    assert fold.ids[:2] == ["f:1", "f:2"]
    assert len(fold.ids) == MOST_IDS
    assert storm.values(fold) == {"container.id": b'"3f2b8a342f11"', "proc.name": b'"sh"'}
    assert fold.pod == PodKey("default", "web", None, "3f2b8a342f11")


def test_a_fold_over_several_pods_names_none() -> None:
    storm = Deduplicator(1, ["proc.name"])

    for pod in ("a", "a", "b"):
        folded(storm, (line(fields={"proc.name": "sh", "k8s.pod.name": pod}), NOW_MS))

    [fold] = storm.take_all()
    assert (fold.count, fold.pod) == (2, None)


def test_a_fold_is_told_when_its_minute_is_over_and_what_comes_later_folds_anew() -> None:
    storm = Deduplicator(1, KEYS)
    ends_ms = NOW_MS // MINUTE_MS * MINUTE_MS + MINUTE_MS + GRACE_MS
    folded(storm, (line(), NOW_MS), now_ms=NOW_MS)
    folded(storm, (line(), NOW_MS), now_ms=ends_ms - 1)

    assert storm.take(ends_ms - 1) == []
    [first] = storm.take(ends_ms)
    folded(storm, (line(), NOW_MS), now_ms=ends_ms)
    [second] = storm.take(ends_ms)

    assert (first.count, second.count) == (1, 1)
    assert first is not second


def test_a_backlog_is_told_at_the_next_look_and_a_clock_that_is_wrong_delays_nothing_for_more_than_a_minute() -> None:
    storm = Deduplicator(1, KEYS)
    for time_ms in (NOW_MS - 3_600_000, NOW_MS + 3_600_000):
        folded(storm, (line(), time_ms), (line(), time_ms))

    assert len(storm.take(NOW_MS)) == 1
    assert len(storm.take(NOW_MS + MINUTE_MS + GRACE_MS)) == 1


def test_a_clock_that_is_set_back_ends_open_folds() -> None:
    storm = Deduplicator(1, KEYS)
    folded(storm, (line(), NOW_MS), (line(), NOW_MS))

    assert len(storm.take(NOW_MS - 1)) == 1


def test_what_was_not_seen_for_a_minute_is_forgotten() -> None:
    storm = Deduplicator(1, KEYS)
    folded(storm, (line(), NOW_MS))

    storm.take(NOW_MS + MINUTE_MS)

    assert folded(storm, (line(), NOW_MS)) == [False]


def test_the_kinds_that_are_counted_are_bounded_and_a_fold_that_makes_room_is_told() -> None:
    storm = Deduplicator(1, KEYS)
    folded(storm, (line(), NOW_MS), (line(), NOW_MS))

    folded(storm, *[(line(rule=str(number)), NOW_MS) for number in range(MOST_WINDOWS)])

    [fold] = storm.take(NOW_MS)
    assert fold.identity[1] == "R"
    assert folded(storm, (line(), NOW_MS)) == [False]


def test_a_fold_that_holds_very_many_records_is_told_at_once() -> None:
    storm = Deduplicator(1, KEYS)

    folded(storm, *[(line(), NOW_MS)] * (1 + MOST_RECORDS))

    assert [fold.count for fold in storm.take(NOW_MS)] == [MOST_RECORDS]


def test_a_pass_that_does_not_count_leaves_no_trace() -> None:
    storm = Deduplicator(1, KEYS)
    draft = storm.draft("f")
    assert [draft.folds(decode_alert(line()), line(), NOW_MS, offset) for offset in range(3)] == [False, True, True]

    assert folded(storm, (line(), NOW_MS)) == [False]
    assert storm.take_all() == []


def test_folded_records_stay_unsettled_until_their_fold_is_settled_and_settle_once() -> None:
    ledger = Ledger()
    first, second = ledger.enter(100, 3), ledger.enter(200, 2)
    fold = Group((0, "R", "Notice", "syscall", ()), None)
    fold.hold(first, 1)
    fold.hold(first, 1)
    fold.hold(second, 2)
    first.settle(1)
    assert (ledger.committed, ledger.in_flight) == (0, 4)

    fold.settle()
    fold.settle()

    assert (ledger.committed, ledger.in_flight) == (200, 0)


alerts = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["sh", "cat"]),
    st.integers(min_value=0, max_value=4).map(lambda half: NOW_MS + half * 30_000),
)
steps = st.one_of(st.lists(alerts, max_size=12), st.integers(min_value=0, max_value=90).map(lambda s: s * 1000))


@given(st.lists(steps, max_size=20), st.integers(min_value=1, max_value=3), st.data())
def test_every_alert_is_shipped_or_in_exactly_one_fold_and_the_books_balance(
    history: list[object], limit: int, data: st.DataObject
) -> None:
    """Chunks, passes that are thrown away, and time going by, in any order."""
    storm, ledger, now_ms = Deduplicator(limit, KEYS), Ledger(), NOW_MS
    shipped: Counter[tuple[str, str, int]] = Counter()
    wrote: Counter[tuple[str, str, int]] = Counter()
    told: list[Group] = []
    offset = 0
    for step in history:
        if isinstance(step, int):
            now_ms += step
            told += storm.take(now_ms)
            continue
        assert isinstance(step, list)
        payloads = [
            (line(rule=rule, fields={"proc.name": name}), time_ms, (rule, name, time_ms // MINUTE_MS))
            for rule, name, time_ms in step
        ]
        for _ in range(data.draw(st.integers(min_value=1, max_value=2))):
            draft = storm.draft("f")
            answers = [
                draft.folds(decode_alert(payload), payload, time_ms, offset + place)
                for place, (payload, time_ms, _) in enumerate(payloads)
            ]
        offset += len(payloads)
        entry = ledger.enter(offset, len(payloads))
        for fold, records in storm.keep(draft, now_ms).items():
            fold.hold(entry, records)
        kept = [kind for (_, _, kind), folds in zip(payloads, answers, strict=True) if not folds]
        entry.settle(len(kept))
        shipped.update(kept)
        wrote.update(kind for _, _, kind in payloads)
        assert ledger.in_flight == storm.held_records + sum(fold.count for fold in told)
    told += storm.take_all()

    in_folds: Counter[tuple[str, str, int]] = Counter()
    for fold in told:
        minute, rule, _, _, values = fold.identity
        in_folds[rule, orjson.loads(values[1]), minute] += fold.count
        assert len(fold.ids) == min(fold.count, MOST_IDS)
    assert shipped + in_folds == wrote
    assert ledger.in_flight == in_folds.total()
    ids = [record_id for fold in told for record_id in fold.ids]
    assert len(ids) == len(set(ids))

    for fold in told:
        fold.settle()

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


def test_while_sifting_folded_alerts_are_seen_and_neither_shipped_nor_filtered() -> None:
    processor = Processor(Policy(storm_limit=2, storm_keys=KEYS), node="n")

    out = result(processor, [stamped("Notice", "sh")] * 5)

    assert len(out.spans[Lane.ROUTINE]) == 2
    assert list(out.folded.values()) == [3]
    assert [seen for _, seen in out.seen] == [5]
    assert not out.filtered
    [fold] = out.folded
    assert fold.ids == ["f:2000", "f:3000", "f:4000"]


@pytest.mark.parametrize(("priority", "source"), [("Critical", "syscall"), ("Emergency", "x"), ("Debug", "internal")])
def test_urgent_alerts_and_falco_s_own_never_fold(priority: str, source: str) -> None:
    processor = Processor(Policy(storm_limit=1, storm_keys=KEYS), node="n")

    out = result(processor, [stamped(priority, "sh", source=source)] * 5)

    assert len(out.spans[Lane.URGENT]) == 5
    assert not out.folded


def test_records_that_wait_for_their_pod_count_once() -> None:
    processor = Processor(Policy(storm_limit=2, storm_keys=KEYS), node="n")
    payloads = [stamped("Notice", "sh", pod="new")] * 5

    first = result(processor, payloads, lambda key, time_ms: None)
    [waiting] = first.unknown.values()
    second = processor.process(
        waiting, file="f", line_format=Cri(), now_ms=NOW_MS, find=lambda key, time_ms: HOST, deduplicate=False
    )

    assert list(first.folded.values()) == [3]
    assert len(waiting) == len(second.spans[Lane.ROUTINE]) == 2
    assert not second.folded


kinds = st.tuples(st.sampled_from(["Critical", "Notice", "Debug"]), st.sampled_from("abc"))


@given(st.lists(st.lists(kinds, max_size=30), max_size=5), st.integers(min_value=1, max_value=4))
def test_with_storms_on_what_ships_or_folds_is_what_ships_with_storms_off(
    chunks: list[list[tuple[str, str]]], limit: int
) -> None:
    plain = Processor(Policy("notice"), node="n")
    folding = Processor(Policy("notice", storm_limit=limit, storm_keys=KEYS), node="n")
    for chunk in chunks:
        payloads = [stamped(priority, name) for priority, name in chunk]

        without, out = result(plain, payloads), result(folding, payloads)

        assert out.filtered == without.filtered
        assert [(kind.priority, seen) for kind, seen in out.seen] == [(kind.priority, n) for kind, n in without.seen]
        assert out.spans[Lane.URGENT].messages == without.spans[Lane.URGENT].messages
        shipped, could = out.spans[Lane.ROUTINE], without.spans[Lane.ROUTINE]
        assert set(shipped.offsets) <= set(could.offsets)
        assert len(shipped) + sum(out.folded.values()) == len(could)


def test_a_captured_burst_folds_by_process_and_not_by_file() -> None:
    lines = (Path(__file__).parents[2] / "data" / "falco" / "0.44.1-burst.jsonl").read_bytes().splitlines()

    by_process = result(Processor(Policy(storm_limit=10, storm_keys=("container.id", "proc.name")), node="n"), lines)
    by_file = result(Processor(Policy(storm_limit=10, storm_keys=("proc.name", "fd.name")), node="n"), lines)

    assert sum(by_process.folded.values()) == len(lines) - 10
    assert not by_file.folded
