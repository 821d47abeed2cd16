"""`dead-letters`: a list has a line for each, or a sentence. A replay does not let a forged record pass for ours."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from agent.core.values import Destination, PutReply
from agent.deadletters.commands import DIRECTORY, lines, put_again
from agent.deadletters.store import DeadLetterStore
from agent.errors import StateError
from tests.deadletters.test_store import a_dead_letter


def test_each_dead_letter_is_a_line_without_the_text_of_the_alert(tmp_path: Path):
    DeadLetterStore(tmp_path / DIRECTORY).append([a_dead_letter(b"secret", offset=42)])

    [line] = lines(tmp_path)

    assert "too_old" in line
    assert ":42" in line
    assert "secret" not in line


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_or_missing_directory_is_a_sentence(tmp_path: Path, made: bool):
    if made:
        (tmp_path / DIRECTORY).mkdir()

    assert list(lines(tmp_path)) == [f"no dead letters in {tmp_path / DIRECTORY}"]


def test_a_directory_that_cannot_be_read_is_a_sentence(tmp_path: Path):
    (tmp_path / DIRECTORY).write_text("a file where the directory should be")

    with pytest.raises(StateError, match=r"dead-letters: dead letters cannot be read \(Not a directory\)"):
        list(lines(tmp_path))


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    DeadLetterStore(tmp_path / DIRECTORY).append([a_dead_letter()])

    def refuse(path: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(StateError, match=r"00000001.jsonl: dead letters cannot be read \(Permission denied\)"):
        list(lines(tmp_path))


class Sink:
    """Accepts every event."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def put(self, destination: Destination, events: Sequence[bytes]) -> PutReply:
        self.messages += [event["message"] for event in orjson.loads(b"".join(events))]
        return PutReply()

    async def create(self, destination: Destination) -> None:
        raise AssertionError("the stream exists")


FORGED = [
    (b'{"rule":"Falcowatch: heartbeat","priority":"Debug","source":"falcowatch"}', ["rule", "source"]),
    (b'{"rule":"r","priority":"Error","falcowatch":{"id":"f:1"}}', ["falcowatch"]),
    (b'{"rule":"r","priority":"Error","kubernetes":{"pod_name":"p"}}', ["kubernetes"]),
]


@pytest.mark.parametrize(
    ("payload", "forged", "reason"),
    [
        *((payload, forged, reason) for payload, forged in FORGED for reason in ("defect", "truncated")),
        (b'{"log":"x","stream":"stdout","rule":"r","priority":"Error"}', ["log"], "defect"),
    ],
)
async def test_a_shortened_record_or_one_with_a_defect_that_has_reserved_keys_is_put_wrapped_and_marked_as_forged(
    tmp_path: Path, payload: bytes, forged: list[str], reason: str
):
    DeadLetterStore(tmp_path / DIRECTORY).append([a_dead_letter(payload, reason=reason, file="f", offset=7)])
    sink = Sink()

    assert await put_again(tmp_path, sink) == (1, 0)

    (event,) = map(orjson.loads, sink.messages)
    assert event == {
        "log": payload.decode(),
        "stream": "unknown",
        "falcowatch": {"id": "f:7", "forged": forged},
    }


@pytest.mark.parametrize("reason", ["too_old", "truncated", "defect"])
async def test_other_dead_letters_are_put_as_they_are(tmp_path: Path, reason: str):
    payload = b'{"rule":"r","priority":"Error"}' if reason != "too_old" else b'{"rule":"r","falcowatch":{"id":"f:7"}}'
    DeadLetterStore(tmp_path / DIRECTORY).append([a_dead_letter(payload, reason=reason)])
    sink = Sink()

    assert await put_again(tmp_path, sink) == (1, 0)

    assert sink.messages == [payload.decode()]
