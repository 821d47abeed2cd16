"""Fixtures: migrate a text as the command does, and read the result as the agent does."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.migrate import migrated
from agent.settings import load_settings

DATA = Path(__file__).parent / "data"


class Migrated:
    """The printed file, and its values as the agent loads them."""

    def __init__(self, text: str, directory: Path) -> None:
        self.text = text
        path = directory / "migrated.yaml"
        path.write_text(text)
        loaded = load_settings({}, path)
        set_here = {dotted: value for dotted, value, source in loaded.rows() if source != "default"}
        self.settings = {
            dotted: [*map(str, value)] if isinstance(value, list) else value for dotted, value in set_here.items()
        }

    def part(self, head: str) -> str:
        """One part of the comments as one line, from its heading to the next empty line or heading."""
        lines = self.text.splitlines()
        start = next(at for at, line in enumerate(lines) if line.startswith(f"# {head}"))
        end = next((at for at in range(start + 1, len(lines)) if lines[at] in ("", "#")), len(lines))
        return " ".join(line.lstrip("#").strip() for line in lines[start + 1 : end])

    @property
    def todo(self) -> str:
        return self.part("Decide before you use it:")

    @property
    def lost(self) -> str:
        return self.part("What Fluent Bit loses")

    @property
    def left(self) -> str:
        return self.part("Not on the way of Falco's alerts")

    def says(self, option: str) -> str:
        """The sentence about an option, by its name and value as the file has them."""
        lines = [line.strip() for line in self.text.splitlines()]
        at = next(at for at, line in enumerate(lines) if line.startswith("#   ") and line.endswith(f": {option}"))
        said = []
        for line in lines[at + 1 :]:
            if not line.startswith("#       "):
                break
            said.append(line.lstrip("# "))
        return " ".join(said)


@pytest.fixture
def migrate(tmp_path):
    """Migrates a configuration, given as text."""

    def run(text: str, name: str = "fluent-bit.conf", **environ: str) -> Migrated:
        path = tmp_path / name
        path.write_text(text)
        return Migrated(migrated(str(path), environ), tmp_path)

    return run


@pytest.fixture
def migrate_example(tmp_path):
    """Migrates one of the example files."""

    def run(name: str, **environ: str) -> Migrated:
        return Migrated(migrated(str(DATA / name), environ), tmp_path)

    return run


@pytest.fixture
def refused(tmp_path):
    """The error for a configuration that cannot be read, with the directory left out."""

    def run(text: str | bytes, name: str = "fluent-bit.conf") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SettingsError) as error:
            migrated(str(path), {})
        [problem] = error.value.problems
        return problem.replace(f"{tmp_path}", "DIR")

    return run
