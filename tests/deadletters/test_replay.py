"""Replay: every dead letter is put at least once before its file is removed, also while an agent appends more."""

import asyncio
from pathlib import Path

import pytest

from agent.core.dead_letter import DeadLetter
from agent.deadletters.replay import MAX_BYTES, replay
from agent.deadletters.store import DeadLetterStore, dead_letter_files, read_dead_letters
from agent.errors import StateLocked, Unavailable
from tests.deadletters.test_store import a_dead_letter


class Sink:
    """Takes dead_letters until it is told to fail."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.batches: list[list[DeadLetter]] = []
        self.fail_at = fail_at

    async def put(self, dead_letters: list[DeadLetter]) -> None:
        if self.fail_at == len(self.batches):
            raise Unavailable("no answer", reason="timeout")
        self.batches.append(dead_letters)

    @property
    def offsets(self) -> list[int]:
        return [one.offset for batch in self.batches for one in batch]


async def test_a_replay_puts_every_dead_letter_and_removes_the_files(tmp_path: Path):
    DeadLetterStore(tmp_path, max_file_bytes=500).append([a_dead_letter(offset=1), a_dead_letter(offset=2)])
    DeadLetterStore(tmp_path, max_file_bytes=500).append([a_dead_letter(offset=3)])
    sink = Sink()

    count = await replay(tmp_path, sink.put)

    assert count == 3
    assert sink.offsets == [1, 2, 3]
    assert dead_letter_files(tmp_path) == []


async def test_a_replay_that_broke_off_starts_with_the_file_it_left(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path, max_file_bytes=500)
    for offset in (1, 2, 3):
        dead_letters.append([a_dead_letter(offset=offset)])

    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=1).put)
    sink = Sink()
    await replay(tmp_path, sink.put)

    assert sink.offsets == [2, 3]
    assert dead_letter_files(tmp_path) == []


async def test_dead_letters_written_during_a_replay_are_neither_lost_nor_handed_out_for_ever(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path)
    dead_letters.append([a_dead_letter(offset=1)])

    async def refuse_again(batch: list[DeadLetter]) -> None:
        await asyncio.to_thread(dead_letters.append, batch)

    assert await replay(tmp_path, refuse_again) == 1
    assert [found.offset for found in read_dead_letters(tmp_path)] == [1]


async def test_an_append_after_a_replay_that_broke_off_takes_another_number(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path)
    dead_letters.append([a_dead_letter(offset=1)])
    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=0).put)

    dead_letters.append([a_dead_letter(offset=2)])

    assert [found.offset for found in read_dead_letters(tmp_path)] == [1, 2]
    assert [path.name for path in dead_letter_files(tmp_path)] == ["00000001.replaying", "00000002.jsonl"]


async def test_a_file_in_replay_is_not_removed_for_room(tmp_path: Path):
    dead_letters = DeadLetterStore(tmp_path, max_file_bytes=300, max_total_bytes=700)
    dead_letters.append([a_dead_letter(offset=1)])
    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=0).put)

    removed = sum(dead_letters.append([a_dead_letter(offset=offset)]) for offset in (2, 3, 4))

    assert removed == 2
    assert [found.offset for found in read_dead_letters(tmp_path)] == [1, 4]


async def test_dead_letters_that_cannot_be_read_are_kept_for_a_person(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    DeadLetterStore(tmp_path).append([a_dead_letter(offset=1), a_dead_letter(offset=2)])
    [path] = dead_letter_files(tmp_path)
    path.write_bytes(b"not a dead letter\n" + path.read_bytes())
    sink = Sink()

    assert await replay(tmp_path, sink.put) == 2
    assert await replay(tmp_path, sink.put) == 0

    assert sink.offsets == [1, 2]
    assert [path.name for path in dead_letter_files(tmp_path)] == ["00000001.unreadable"]
    assert [record.getMessage() for record in caplog.records] == ["dead letters unreadable"]


async def test_a_last_line_that_a_crash_cut_is_removed(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter(offset=1)])
    [path] = dead_letter_files(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"time":"2026')

    assert await replay(tmp_path, Sink().put) == 1

    assert dead_letter_files(tmp_path) == []


async def test_dead_letters_are_handed_out_in_batches_of_bounded_bytes(tmp_path: Path):
    third = b"x" * (MAX_BYTES // 3)
    DeadLetterStore(tmp_path).append([a_dead_letter(third, offset=offset) for offset in range(4)])
    sink = Sink()

    await replay(tmp_path, sink.put)

    assert [len(batch) for batch in sink.batches] == [3, 1]


async def test_two_replays_at_once_are_refused(tmp_path: Path):
    DeadLetterStore(tmp_path).append([a_dead_letter()])

    async def second_replay(batch: list[DeadLetter]) -> None:
        with pytest.raises(StateLocked, match="another replay"):
            await replay(tmp_path, Sink().put)

    assert await replay(tmp_path, second_replay) == 1


async def test_a_directory_that_is_not_there_has_nothing_to_replay(tmp_path: Path):
    assert await replay(tmp_path / "none", Sink().put) == 0
