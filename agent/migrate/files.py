"""Reads the configuration and its includes from files, from a ConfigMap, or from standard input.

The only module of this package that reads anything. It reads regular files alone, and only so much of each.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from agent.errors import SettingsError
from agent.migrate import classic, yaml_form
from agent.migrate.document import Document, Place, joined, refusal
from agent.migrate.plan import plan
from agent.migrate.render import rendered
from agent.migrate.variables import expanded

LARGEST_FILE_BYTES: Final = 1024 * 1024
MOST_FILES: Final = 100
STDIN: Final = "-"
MAIN_NAMES: Final = ("fluent-bit.conf", "fluent-bit.yaml", "fluent-bit.yml", "td-agent-bit.conf")
"""Names of the main file among the keys of a ConfigMap."""


def migrated(path: str, environ: Mapping[str, str]) -> str:
    """Our configuration for the one of Fluent Bit in this file. Raises SettingsError with file and line."""
    name = "standard input" if path == STDIN else Path(path).name
    text = _decoded(sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1), name) if path == STDIN else _read(Path(path), name)
    directory = Path.cwd() if path == STDIN else Path(path).resolve().parent
    document = _Reader(directory).read(text, name)
    return rendered(plan(expanded(document, environ)), path)


@dataclass(slots=True)
class _Reader:
    """Reads one configuration: counts its files, and finds includes beside the main file or in its ConfigMap."""

    directory: Path
    maps: dict[str, str] = field(default_factory=dict)
    open_names: list[str] = field(default_factory=list)
    count: int = 0

    def read(self, text: str, name: str) -> Document:
        """The document of a text in any of the forms."""
        if classic.is_classic(text):
            return classic.parse(text, name, self.include)
        documents = []
        nodes = yaml_form.compose(text, name)
        manifests = [each for node in nodes for each in _config_maps(node)]
        if manifests:
            return self._read_manifests(manifests, name)
        for node in nodes:
            if not isinstance(node, yaml.MappingNode):
                raise refusal(
                    Place(name, node.start_mark.line + 1),
                    "is not a configuration of Fluent Bit: it has neither sections like [INPUT] nor a mapping "
                    "with `pipeline`",
                )
            documents.append(yaml_form.parse(node, name, self.include))
        document = joined(documents)
        if not document.sections:
            raise refusal(Place(name, 1), "contains no section; a section begins with a line like [INPUT]")
        return document

    def include(self, pattern: str, place: Place) -> Document:
        """The documents of an include, which may be a pattern. Raises SettingsError when there is no such file."""
        if pattern in self.maps:
            return self._nested(pattern, self.maps[pattern], pattern, place)
        found = self._matching(pattern, place)
        if not found:
            raise refusal(
                place,
                f"includes {pattern!r}, which is not here. Put the file into {self.directory}, or remove the "
                "line if it "
                "does not concern Falco",
            )
        return joined([self._nested(str(path), _read(path, str(path), place), path.name, place) for path in found])

    def _nested(self, key: str, text: str, name: str, place: Place) -> Document:
        self.count += 1
        if key in self.open_names:
            raise refusal(place, f"includes {name!r}, which includes this file again")
        if self.count > MOST_FILES:
            raise refusal(place, f"includes more than {MOST_FILES} files")
        self.open_names.append(key)
        document = self.read(text, name) if text.strip() else Document()
        self.open_names.pop()
        return document

    def _matching(self, pattern: str, place: Place) -> list[Path]:
        try:
            path = self.directory / pattern
            if set(pattern) & set("*?["):
                return [Path(each) for each in sorted(glob.glob(str(path)))[: MOST_FILES + 1] if Path(each).is_file()]  # noqa: PTH207
            return [path] if path.exists() else []
        except (OSError, ValueError) as error:
            raise refusal(place, f"includes {pattern!r}, which is not a file name ({error})") from error

    def _read_manifests(self, manifests: list[dict[str, str]], name: str) -> Document:
        """The configuration in the data of ConfigMaps, as kubectl prints them."""
        for data in manifests:
            main = next((name for name in MAIN_NAMES if name in data), next(iter(data)) if len(data) == 1 else None)
            if main is not None:
                self.maps = data
                return self._nested(main, data[main], main, Place(name, 1))
        keys = ", ".join(key for data in manifests for key in data)
        raise refusal(
            Place(name, 1),
            f"no ConfigMap has the key fluent-bit.conf or fluent-bit.yaml; the keys are {keys or 'none'}",
        )


def _config_maps(node: yaml.Node) -> Iterator[dict[str, str]]:
    """The data of each ConfigMap in a manifest, which may be a List."""
    fields = dict(yaml_form.pairs(node))
    kind = fields["kind"].value if isinstance(fields.get("kind"), yaml.ScalarNode) else ""
    if kind == "ConfigMap" and "data" in fields:
        yield {key: value.value for key, value in yaml_form.pairs(fields["data"]) if isinstance(value, yaml.ScalarNode)}
    elif kind.endswith("List") and isinstance(fields.get("items"), yaml.SequenceNode):
        for each in fields["items"].value:
            yield from _config_maps(each)
    elif kind and "apiVersion" in fields:
        yield from ()


def _read(path: Path, name: str, place: Place | None = None) -> str:
    at = f"{place}: {name}" if place else name
    try:
        if path.exists() and not path.is_file():
            raise SettingsError([f"{at}: is not a file; name the configuration of Fluent Bit, or - for standard input"])
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError([f"{at}: cannot be read ({error.strerror})"]) from error
    except ValueError as error:
        raise SettingsError([f"{at!r}: is not a file name ({error})"]) from error
    return _decoded(content, at)


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST_FILE_BYTES:
        raise SettingsError([f"{name}: is larger than {LARGEST_FILE_BYTES} bytes, so it is not a configuration"])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError([f"{name}:{line}: contains bytes that are not UTF-8 text"]) from error
