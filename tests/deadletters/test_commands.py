"""`dead-letters list`: a line for each dead letter, and a sentence when there is none or it cannot be read."""

from pathlib import Path

import pytest

from agent.deadletters.commands import DIRECTORY, lines
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
