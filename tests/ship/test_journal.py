"""What is written down before each put: what a crash finds again, and when it may be forgotten."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from agent.core.batching.batch import Batch, Part
from agent.core.batching.span import Span
from agent.core.reading.ledger import Ledger
from agent.core.values import Destination
from agent.errors import StateUnwritable
from agent.ship.journal import KEPT_BYTES, Intent, Journal, decoded, encoded, intent_of

STREAM = Destination("falco", "node-a")


def span_of(file: str, *offsets: int, ours: bool = True) -> Span:
    span = Span(entry=Ledger().enter(10_000, len(offsets)) if ours else None, file=file)
    for offset in offsets:
        message = f'{{"rule":"R","falcowatch":{{"id":"{file}:{offset}","node":"node-a"}}}}'
        span.append(1_000 + offset, message.encode(), offset)
    return span


def batch_of(file: str, *offsets: int) -> Batch:
    span = span_of(file, *offsets)
    return Batch([Part(span, 0, len(span))])


def a_run(directory: Path) -> tuple[Journal, list[Intent]]:
    journal = Journal(directory)
    return journal, journal.open()


async def intend(journal: Journal, batch: Batch) -> int:
    number = journal.note(STREAM, batch)
    await journal.write(number)
    return number


def offsets(intents: list[Intent]) -> list[tuple[str, tuple[int, ...]]]:
    return sorted({(file, found) for intent in intents for file, found in intent.records.items()})


async def test_an_intent_names_the_stream_the_times_and_every_record_of_the_batch(tmp_path):
    journal, nothing = a_run(tmp_path / "journal")
    await intend(journal, batch_of("f00", 7, 3, 90))

    _, left = a_run(tmp_path / "journal")

    assert nothing == []
    assert left == [Intent(STREAM, 1_003, 1_090, {"f00": (7, 3, 90)})]


async def test_the_time_of_asking_counts_from_the_first_run_after_the_crash(tmp_path):
    journal, _ = a_run(tmp_path)
    assert journal.resuming_seconds == 0
    await intend(journal, batch_of("f00", 1))

    first, _ = a_run(tmp_path)
    assert first.resuming_seconds == 0
    os.utime(tmp_path / "resuming", (time.time() - 60, time.time() - 60))
    second, left = a_run(tmp_path)
    assert second.resuming_seconds == pytest.approx(60, abs=5)
    assert len(left) == 1

    second.resumed()
    third, left = a_run(tmp_path)
    assert third.resuming_seconds == 0  # the second run may have sent something
    assert len(left) == 1


async def test_a_clock_that_was_set_back_starts_the_time_of_asking_anew(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 1))
    a_run(tmp_path)
    os.utime(tmp_path / "resuming", (time.time() + 3600, time.time() + 3600))

    assert a_run(tmp_path)[0].resuming_seconds == 0
    assert (tmp_path / "resuming").stat().st_mtime <= time.time()


async def test_events_of_our_own_need_no_intent(tmp_path):
    journal, _ = a_run(tmp_path)
    own = span_of("", 0, ours=False)

    await intend(journal, Batch([Part(own, 0, 1)]))

    assert list(tmp_path.iterdir()) == []


def test_a_record_that_began_in_the_file_before_is_named_as_its_event_names_it():
    span = span_of("before", 40)
    span.file, span.offsets = "after", [0]

    assert intent_of(STREAM, Batch([Part(span, 0, 1)])).records == {"before": (40,)}


async def test_it_is_forgotten_when_a_checkpoint_has_passed_all_of_its_records(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10, 20))
    await intend(journal, batch_of("f00", 30))

    plan = journal.plan_compaction({"f00": 21})
    assert plan is not None
    await journal.compact(plan)

    _, left = a_run(tmp_path)
    assert offsets(left) == [("f00", (30,))]


async def test_an_acknowledgement_alone_is_not_enough(tmp_path):
    journal, _ = a_run(tmp_path)
    batch = batch_of("f00", 10)
    await intend(journal, batch)

    batch.settle()

    assert journal.plan_compaction({"f00": 0}) is None
    assert offsets(a_run(tmp_path)[1]) == [("f00", (10,))]


async def test_it_stays_while_the_checkpoint_that_passes_it_is_not_on_disk(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10))

    journal.plan_compaction({"f00": 11})
    await intend(journal, batch_of("f00", 50))

    assert offsets(a_run(tmp_path)[1]) == [("f00", (10,)), ("f00", (50,))]


async def test_a_save_that_failed_is_made_good_by_the_next_one(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10))
    journal.plan_compaction({"f00": 11})

    again = journal.plan_compaction({"f00": 11})
    assert again is not None
    await journal.compact(again)

    assert list(tmp_path.iterdir()) == []


async def test_what_is_intended_between_the_snapshot_and_its_save_is_kept(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10))
    plan = journal.plan_compaction({"f00": 11})
    await intend(journal, batch_of("f00", 50))

    assert plan is not None
    await journal.compact(plan)

    assert offsets(a_run(tmp_path)[1]) == [("f00", (50,))]


async def test_what_a_crash_left_stays_until_it_has_been_asked_for(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10))
    second, left = a_run(tmp_path)

    assert offsets(left) == [("f00", (10,))]
    assert second.plan_compaction({"f00": 0}) is None

    second.resumed()
    plan = second.plan_compaction({"f00": 0})
    assert plan is not None
    await second.compact(plan)
    assert list(tmp_path.iterdir()) == []


async def test_what_was_asked_for_goes_with_the_next_checkpoint_though_less_is_under_way(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", *range(100)))
    second, _ = a_run(tmp_path)
    second.resumed()
    await intend(second, batch_of("f00", 500))

    plan = second.plan_compaction({"f00": 0})
    assert plan is not None
    await second.compact(plan)

    assert offsets(a_run(tmp_path)[1]) == [("f00", (500,))]


async def test_of_batches_behind_a_record_that_is_never_accepted_only_the_last_ones_are_kept(tmp_path, caplog):
    journal, _ = a_run(tmp_path)
    never_delivered = await intend(journal, batch_of("f00", 0))
    longest = len(encoded(intent_of(STREAM, batch_of("f00", *range(99_000, 100_000)))))
    for first in range(1_000, 400_000, 1_000):
        journal.delivered(await intend(journal, batch_of("f00", *range(first, first + 1_000))))
        if (plan := journal.plan_compaction({"f00": 0})) is not None:
            await journal.compact(plan)

    left = a_run(tmp_path)[1]
    kept = [found[0] for _, found in offsets(left)]
    assert never_delivered == 1
    assert kept[0] == 0  # a crash must ask for the batch that is under way
    assert kept[1:] == [*range(kept[1], 400_000, 1_000)]
    assert KEPT_BYTES - longest < sum(len(encoded(intent)) for intent in left[-len(kept[1:]) :]) <= 2 * KEPT_BYTES
    assert sum(path.stat().st_size for path in tmp_path.glob("*.journal")) < 4 * KEPT_BYTES
    assert "an alert is not accepted for so long that the journal cannot keep all batches behind it" in caplog.text


async def test_batches_that_a_disk_refused_to_note_are_bounded_too(tmp_path):
    directory = tmp_path / "journal"
    journal, _ = a_run(directory)
    directory.rmdir()
    for first in range(1_000, 400_000, 1_000):
        number = journal.note(STREAM, batch_of("f00", *range(first, first + 1_000)))
        with pytest.raises(StateUnwritable):
            await journal.write(number)
        journal.delivered(number)
        journal.plan_compaction({"f00": 0})

    directory.mkdir()
    await intend(journal, batch_of("f00", 500_000))

    assert sum(len(encoded(intent)) for intent in a_run(directory)[1]) <= KEPT_BYTES + 10_000


async def test_a_torn_last_line_is_a_batch_that_was_never_put(tmp_path):
    journal, _ = a_run(tmp_path)
    await intend(journal, batch_of("f00", 10))
    await intend(journal, batch_of("f00", 20))
    [segment] = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes()[:-7])

    assert offsets(a_run(tmp_path)[1]) == [("f00", (10,))]
    assert list(tmp_path.glob("*.journal")) == [segment]


async def test_a_corrupt_line_is_set_aside_and_named_and_the_others_count(tmp_path, caplog):
    journal, _ = a_run(tmp_path)
    for offset in (10, 20, 30):
        await intend(journal, batch_of("f00", offset))
    [segment] = tmp_path.iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[1].replace(b"20", b"21") + lines[2])

    left = a_run(tmp_path)[1]

    assert offsets(left) == [("f00", (10,)), ("f00", (30,))]
    assert [path.name for path in tmp_path.iterdir() if ".corrupt-" in path.name]
    assert "journal was corrupt, batches that it no longer names may be sent again" in caplog.messages


async def test_several_at_once_share_a_write_and_all_are_on_disk(tmp_path):
    journal, _ = a_run(tmp_path)

    await asyncio.gather(*(intend(journal, batch_of("f00", offset)) for offset in range(50)))

    assert len(a_run(tmp_path)[1]) == 50


async def test_a_disk_that_refuses_is_named_and_the_intent_is_written_with_the_next(tmp_path):
    directory = tmp_path / "journal"
    journal, _ = a_run(directory)
    directory.rmdir()

    with pytest.raises(StateUnwritable, match=r"journal: intents cannot be written \(No such file"):
        await intend(journal, batch_of("f00", 10))

    directory.mkdir()
    await intend(journal, batch_of("f00", 20))
    assert offsets(a_run(directory)[1]) == [("f00", (10,)), ("f00", (20,))]


async def test_a_cancelled_intent_harms_nobody(tmp_path):
    journal, _ = a_run(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(intend(journal, batch_of("f00", 10)))
        second = tasks.create_task(intend(journal, batch_of("f00", 20)))
        await asyncio.sleep(0)
        first.cancel()

    assert second.exception() is None
    assert ("f00", (20,)) in offsets(a_run(tmp_path)[1])


def test_a_directory_that_cannot_be_had_is_named(tmp_path):
    (tmp_path / "journal").write_bytes(b"")

    with pytest.raises(StateUnwritable, match="exact resume needs a directory"):
        Journal(tmp_path / "journal").open()


def test_an_encoded_intent_is_decoded_to_the_same_and_any_changed_byte_is_noticed():
    intent = Intent(STREAM, 5, 9, {"f00": (1, 2), "f01": (0,)})
    line = encoded(intent).rstrip(b"\n")

    assert decoded(line) == intent
    for at in range(len(line)):
        assert decoded(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]) is None
