"""In which order a source's files are read, whatever becomes of their names."""

from pathlib import Path

from agent.settings import Tail
from agent.tail.discovery import Discovery
from agent.tail.intake import Intake
from agent.tail.openfile import OpenFile
from tests.tail.following import Container


def test_a_file_that_was_empty_when_it_was_last_seen_comes_after_what_had_been_rotated_by_then(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write("1")
    container.rotate()
    settings = Tail(root=tmp_path)
    discovery, files = Discovery(settings), list[OpenFile]()
    ((source, found),) = discovery.look().items()
    intake = Intake(source, settings, {}, set(), lambda error: None)
    intake.take(found, files, at_end=False)

    container.write("2")
    container.path.unlink()  # renamed and compressed, and missed under its new name
    intake.take(found[:1], files, at_end=False)

    assert [file.look_ahead(0, 100)[-2:] for file in files] == [b"1\n", b"2\n"]
    for file in files:
        file.close()
