"""Progress on disk: whole or the one before, whatever happens to the files; and one agent at a time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.errors import CheckpointCorrupt, CheckpointTooNew, StateLocked, StateUnwritable
from agent.tail.checkpoint import Checkpoint, PendingEvent, Position, Restored, parse

HERE = Position("/var/log/pods/p/falco/0.log", 10, 30, 1, 2, False, (12, 20), 1000.0, "0a")


def restored(directory: Path) -> Restored:
    checkpoint = Checkpoint(directory)
    try:
        return checkpoint.open()
    finally:
        checkpoint.close()


def saved(directory: Path, *offsets: int) -> None:
    checkpoint = Checkpoint(directory)
    checkpoint.open()
    for offset in offsets:
        checkpoint.save({"f": Position("p", offset)})
    checkpoint.close()


def test_the_first_start_knows_nothing(tmp_path: Path) -> None:
    assert restored(tmp_path / "new" / "state") == Restored({}, first_start=True)


def test_what_was_saved_is_restored(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    assert checkpoint.save({"f": HERE})
    checkpoint.close()

    assert restored(tmp_path) == Restored({"f": HERE}, first_start=False)


def test_what_is_on_disk_already_is_not_written_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    checkpoint.save({"f": HERE})
    before = (tmp_path / "checkpoint.json").stat()

    assert not checkpoint.save({"f": HERE})
    assert (tmp_path / "checkpoint.json").stat().st_mtime_ns == before.st_mtime_ns
    checkpoint.close()


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_torn_checkpoint_is_kept_aside_and_the_one_before_is_used(tmp_path: Path, cut: int) -> None:
    saved(tmp_path, 1, 2)
    path = tmp_path / "checkpoint.json"
    path.write_bytes(path.read_bytes()[:cut])

    assert restored(tmp_path).positions["f"].offset == 1
    assert len(list(tmp_path.glob("checkpoint.json.corrupt-*"))) == 1


def test_a_crash_between_the_two_renames_finds_the_one_before(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "checkpoint.json").unlink()

    assert restored(tmp_path) == Restored({"f": Position("p", 1)}, first_start=False)


def test_two_corrupt_checkpoints_are_no_first_start(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "checkpoint.json").write_bytes(b"\0" * 100)
    (tmp_path / "checkpoint.previous.json").write_bytes(b"")

    first, second = restored(tmp_path), restored(tmp_path)

    assert not first.first_start
    assert first.progress_lost.startswith("checkpoint.previous.json.corrupt-")
    assert second == first  # also when that run died before its first save


def test_a_second_agent_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path)
    first.open()

    with pytest.raises(StateLocked, match="another falcowatch holds it"):
        Checkpoint(tmp_path).open()
    first.close()
    first.close()
    restored(tmp_path)


def test_a_state_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnwritable, match="must be a directory"):
        Checkpoint(tmp_path / "file").open()


def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_a_first_start(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").mkdir()
    checkpoint = Checkpoint(tmp_path)

    with pytest.raises(StateUnwritable, match="repair or remove it"):
        checkpoint.open()
    checkpoint.close()


def test_a_disk_that_refuses_is_said_and_the_next_save_tries_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    (tmp_path / "checkpoint.new.json").mkdir()

    with pytest.raises(StateUnwritable, match="progress cannot be saved"):
        checkpoint.save({"f": HERE})
    (tmp_path / "checkpoint.new.json").rmdir()
    assert checkpoint.save({"f": HERE})
    checkpoint.close()
    assert restored(tmp_path).positions == {"f": HERE}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_leaves_the_last_checkpoint_as_it_was(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    checkpoint.save({"f": HERE})
    (tmp_path / "checkpoint.new.json").symlink_to("/dev/full")

    with pytest.raises(StateUnwritable, match="No space left"):
        checkpoint.save({"f": Position("p", 99)})
    checkpoint.close()
    assert restored(tmp_path).positions == {"f": HERE}


def test_saves_from_several_threads_take_turns(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda offset: checkpoint.save({"f": Position("p", offset)}), range(100)))
    checkpoint.close()

    assert 0 <= restored(tmp_path).positions["f"].offset < 100


def test_what_cloudwatch_has_not_been_told_is_kept_with_the_positions(tmp_path: Path) -> None:
    pending_events = PendingEvent("self:1:1", 5, '{"rule":"Falcowatch: gap"}')
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()

    checkpoint.save({"f": HERE}, [pending_events])
    checkpoint.close()

    assert restored(tmp_path) == Restored({"f": HERE}, False, (pending_events,))


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_checkpoint_or_corrupt(data: bytes) -> None:
    with pytest.raises(CheckpointCorrupt):
        parse(data)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"version": 1},
        {"version": 2, "files": {}},
        {"version": 2, "files": {"f": 5}, "untold": [], "sha256": "x"},
        None,
        "text",
    ],
)
def test_json_of_another_shape_is_corrupt(document: object) -> None:
    with pytest.raises(CheckpointCorrupt):
        parse(orjson.dumps(document))


@given(flip=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_single_changed_byte_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, flip: int, value: int
) -> None:
    directory = tmp_path_factory.mktemp("state")
    saved(directory, 123456)
    data = bytearray((directory / "checkpoint.json").read_bytes())
    data[flip % len(data)] ^= value

    try:
        known = parse(bytes(data))
    except (CheckpointCorrupt, CheckpointTooNew):  # too new: the changed byte is the version
        return
    assert known.positions == {"f": Position("p", 123456)}


class Crashes(RuleBasedStateMachine):
    """However saves, crashes and torn writes follow each other, what is restored is what was saved last."""

    @initialize(directory=st.builds(lambda: None))
    def begin(self, directory: None) -> None:
        import tempfile

        self._temporary = tempfile.TemporaryDirectory()
        self.directory = Path(self._temporary.name)
        self.history: list[int] = []
        self.checkpoint = Checkpoint(self.directory)
        self.checkpoint.open()

    @rule(step=st.integers(1, 1000))
    def save(self, step: int) -> None:
        self.history.append((self.history[-1] if self.history else 0) + step)
        self.checkpoint.save({"f": Position("p", self.history[-1])})

    @rule()
    def restart(self) -> None:
        self.reopen()

    @rule(share=st.floats(0, 1))
    def crash_while_the_next_one_is_written(self, share: float) -> None:
        path = self.directory / "checkpoint.json"
        if path.exists():
            data = path.read_bytes()
            (self.directory / "checkpoint.new.json").write_bytes(data[: int(share * len(data))])
        self.reopen()

    @rule()
    def crash_between_the_renames(self) -> None:
        path = self.directory / "checkpoint.json"
        if path.exists() and (self.directory / "checkpoint.previous.json").exists():
            path.replace(self.directory / "checkpoint.previous.json")
        self.reopen()

    def reopen(self) -> None:
        self.checkpoint.close()
        self.checkpoint = Checkpoint(self.directory)
        positions = self.checkpoint.open().positions
        if self.history:
            assert positions["f"].offset == self.history[-1]
        else:
            assert not positions

    @invariant()
    def the_last_one_is_whole(self) -> None:
        if hasattr(self, "directory") and (path := self.directory / "checkpoint.json").exists():
            assert parse(path.read_bytes()).positions["f"].offset == self.history[-1]

    def teardown(self) -> None:
        if hasattr(self, "checkpoint"):
            self.checkpoint.close()
            self._temporary.cleanup()


TestCrashes = Crashes.TestCase
