"""Checkpoints that cannot be read, and a state directory that is not ours any more."""

import shutil
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from agent.errors import CheckpointTooNew, LockLost, StateLocked
from agent.tail.checkpoint import Checkpoint, Position, Restored, parse
from agent.tail.reader import PROGRESS_LOST
from tests.tail.following import Container, following, plain_alert

HERE = Position("/var/log/pods/p/falco/0.log", 10, 30, 1, 2, False, (12, 20), 1000.0, "0a")


def old_document() -> bytes:
    """A checkpoint as version 1 wrote it."""
    files = {"f": {"path": "p", "offset": 3, "size": 5, "device": 1, "inode": 2, "complete": False,
                   "islands": [4], "seen_at": 1000.0, "marker": "0a"}}  # fmt: skip
    body = orjson.dumps(files, option=orjson.OPT_SORT_KEYS)
    return b'{"version":1,"sha256":"%s","files":%b}\n' % (sha256(body).hexdigest().encode(), body)


def test_a_checkpoint_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_bytes(old_document())
    checkpoint = Checkpoint(tmp_path)

    restored = checkpoint.open()
    assert restored == Restored({"f": Position("p", 3, 5, 1, 2, False, (4,), 1000.0, "0a")}, first_start=False)

    checkpoint.save(restored.positions)
    checkpoint.close()
    assert orjson.loads((tmp_path / "checkpoint.json").read_bytes())["version"] == 2


@pytest.mark.parametrize("name", ["checkpoint.json", "checkpoint.previous.json"])
def test_a_checkpoint_of_a_newer_version_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    newer = b'{"version":3,"anything":[]}'
    (tmp_path / name).write_bytes(newer)
    checkpoint = Checkpoint(tmp_path)

    with pytest.raises(CheckpointTooNew, match=rf"{name}.*newer falcowatch.*format 3.*up to 2"):
        checkpoint.open()

    assert (tmp_path / name).read_bytes() == newer
    again = Checkpoint(tmp_path)  # the lock is free again
    with pytest.raises(CheckpointTooNew):
        again.open()


@pytest.mark.parametrize("version", [b'"2"', b"0", b"null", b"-1", b"true", b"[2]", b"2.0"])
def test_a_version_that_is_none_is_a_corrupt_checkpoint(tmp_path: Path, version: bytes) -> None:
    (tmp_path / "checkpoint.json").write_bytes(b'{"version":%b,"sha256":"","files":{},"untold":[]}' % version)
    checkpoint = Checkpoint(tmp_path)

    assert checkpoint.open().progress_lost
    checkpoint.close()


def test_the_file_keeps_its_keys(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.open()
    checkpoint.save({"f": HERE})
    checkpoint.save({"f": HERE, "g": Position("q", 1)})
    data = (tmp_path / "checkpoint.json").read_bytes()
    checkpoint.close()

    keys = ["path", "offset", "size", "device", "inode", "complete", "islands", "seen_at", "marker"]
    document = orjson.loads(data)
    assert list(document) == ["version", "sha256", "files", "untold"]
    assert list(document["files"]["f"]) == keys
    assert parse(data).positions["f"] == HERE


@pytest.mark.parametrize("again", ["directory", "lock"])
def test_a_state_directory_that_was_made_again_is_noticed(tmp_path: Path, again: str) -> None:
    state = tmp_path / "state"
    first = Checkpoint(state)
    first.open()
    first.save({"f": HERE})
    if again == "directory":
        shutil.rmtree(state)
    else:
        (state / "lock").unlink()
    second = Checkpoint(state)
    second.open()

    with pytest.raises(LockLost, match="was removed and made again"):
        first.save({"f": Position("p", 11)})

    second.save({"f": Position("p", 12)})
    first.close()
    with pytest.raises(StateLocked):
        Checkpoint(state).open()
    second.close()


@pytest.mark.parametrize("runs", [1, 2])
async def test_without_a_readable_checkpoint_every_rotated_log_is_read_and_a_gap_says_so(
    tmp_path: Path, runs: int
) -> None:
    state, path = tmp_path / "state", tmp_path / "falco.log"
    path.write_bytes(b"".join(map(plain_alert, range(50))))
    path.rename(tmp_path / "falco.log.1")
    path.write_bytes(b"".join(map(plain_alert, range(50, 150))))
    state.mkdir()
    for name in ("checkpoint.json", "checkpoint.previous.json"):
        (state / name).write_bytes(b"\0" * 100)
    keys = set()
    for _ in range(runs):  # the first run may be killed before it saves
        checkpoint = Checkpoint(state)
        restored = checkpoint.open()
        checkpoint.close()
        async with following(None, paths=[str(path)], restored=restored) as seen:
            await seen.until(lambda: len(seen.payloads) == 150)
            keys |= {gap.key for gap in seen.gaps}

    assert [(gap.why, gap.at_least) for gap in seen.gaps] == [(PROGRESS_LOST, True)]
    assert len(keys) == 1


async def test_without_a_readable_checkpoint_start_at_end_does_not_skip(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    container.rotate()
    container.write(2)
    restored = Restored({}, first_start=False, progress_lost="checkpoint.json.corrupt-1")
    async with following(tmp_path, restored=restored, start_at="end") as seen:
        await seen.until(lambda: seen.numbers == [1, 2])
