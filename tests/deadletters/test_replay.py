"""Replaying dead letters: every letter is put at least once before its file goes, beside an agent that buries on."""

import asyncio
from pathlib import Path

import pytest

from agent.deadletters.replay import MAX_BYTES, replay
from agent.deadletters.store import DeadLetter, DeadLetters, letter_files, read_letters
from agent.errors import StateLocked, Unavailable
from tests.deadletters.test_store import letter


class Sink:
    """Takes letters until it is told to fail."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.batches: list[list[DeadLetter]] = []
        self.fail_at = fail_at

    async def put(self, letters: list[DeadLetter]) -> None:
        if self.fail_at == len(self.batches):
            raise Unavailable("no answer", reason="timeout")
        self.batches.append(letters)

    @property
    def offsets(self) -> list[int]:
        return [letter.offset for batch in self.batches for letter in batch]


async def test_a_replay_puts_every_letter_and_removes_the_files(tmp_path: Path):
    DeadLetters(tmp_path, max_file_bytes=500).bury([letter(offset=1), letter(offset=2)])
    DeadLetters(tmp_path, max_file_bytes=500).bury([letter(offset=3)])
    sink = Sink()

    count = await replay(tmp_path, sink.put)

    assert count == 3
    assert sink.offsets == [1, 2, 3]
    assert letter_files(tmp_path) == []


async def test_a_replay_that_broke_off_starts_with_the_file_it_left(tmp_path: Path):
    letters = DeadLetters(tmp_path, max_file_bytes=500)
    for offset in (1, 2, 3):
        letters.bury([letter(offset=offset)])

    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=1).put)
    sink = Sink()
    await replay(tmp_path, sink.put)

    assert sink.offsets == [2, 3]
    assert letter_files(tmp_path) == []


async def test_what_is_buried_during_a_replay_is_neither_lost_nor_handed_out_for_ever(tmp_path: Path):
    letters = DeadLetters(tmp_path)
    letters.bury([letter(offset=1)])

    async def refuse_again(batch: list[DeadLetter]) -> None:
        await asyncio.to_thread(letters.bury, batch)

    assert await replay(tmp_path, refuse_again) == 1
    assert [found.offset for found in read_letters(tmp_path)] == [1]


async def test_a_burial_beside_a_replay_that_broke_off_takes_another_number(tmp_path: Path):
    letters = DeadLetters(tmp_path)
    letters.bury([letter(offset=1)])
    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=0).put)

    letters.bury([letter(offset=2)])

    assert [found.offset for found in read_letters(tmp_path)] == [1, 2]
    assert [path.name for path in letter_files(tmp_path)] == ["00000001.replaying", "00000002.jsonl"]


async def test_a_file_in_replay_is_not_removed_for_room(tmp_path: Path):
    letters = DeadLetters(tmp_path, max_file_bytes=300, max_total_bytes=700)
    letters.bury([letter(offset=1)])
    with pytest.raises(Unavailable):
        await replay(tmp_path, Sink(fail_at=0).put)

    removed = sum(letters.bury([letter(offset=offset)]) for offset in (2, 3, 4))

    assert removed == 2
    assert [found.offset for found in read_letters(tmp_path)] == [1, 4]


async def test_letters_that_cannot_be_read_are_kept_for_a_person(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    DeadLetters(tmp_path).bury([letter(offset=1), letter(offset=2)])
    [path] = letter_files(tmp_path)
    path.write_bytes(b"not a letter\n" + path.read_bytes())
    sink = Sink()

    assert await replay(tmp_path, sink.put) == 2
    assert await replay(tmp_path, sink.put) == 0

    assert sink.offsets == [1, 2]
    assert [path.name for path in letter_files(tmp_path)] == ["00000001.unreadable"]
    assert [record.getMessage() for record in caplog.records] == ["dead letters unreadable"]


async def test_a_last_line_that_a_crash_cut_was_never_promised_and_goes(tmp_path: Path):
    DeadLetters(tmp_path).bury([letter(offset=1)])
    [path] = letter_files(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"time":"2026')

    assert await replay(tmp_path, Sink().put) == 1

    assert letter_files(tmp_path) == []


async def test_letters_are_handed_out_in_batches_of_bounded_bytes(tmp_path: Path):
    third = b"x" * (MAX_BYTES // 3)
    DeadLetters(tmp_path).bury([letter(third, offset=offset) for offset in range(4)])
    sink = Sink()

    await replay(tmp_path, sink.put)

    assert [len(batch) for batch in sink.batches] == [3, 1]


async def test_two_replays_at_once_are_refused(tmp_path: Path):
    DeadLetters(tmp_path).bury([letter()])

    async def second_replay(batch: list[DeadLetter]) -> None:
        with pytest.raises(StateLocked, match="another replay"):
            await replay(tmp_path, Sink().put)

    assert await replay(tmp_path, second_replay) == 1


async def test_a_directory_that_is_not_there_has_nothing_to_replay(tmp_path: Path):
    assert await replay(tmp_path / "none", Sink().put) == 0
