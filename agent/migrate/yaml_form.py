"""Parses the YAML format of Fluent Bit: `service`, `pipeline` with inputs, filters and outputs, `env`, `includes`.

Values are taken as they are written, without YAML's types: `flush: 1.50` stays `1.50`. Each keeps its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from agent.migrate.classic import Include
from agent.migrate.document import Document, Option, Place, Section, joined, refusal

MOST_NODES: Final = 100_000
"""Values in a file, with every alias expanded."""
DEEPEST_NESTING: Final = 40

_PIPELINE: Final = {"inputs": "input", "filters": "filter", "outputs": "output"}
_ONE_LINE: Final = frozenset({"path", "exclude_path", "multiline.parser"})
"""Options whose list has the meaning of one value with commas. Other lists repeat the option."""
_TOP_LEVEL: Final = frozenset({"env", "includes", "multiline_parsers", "parsers", "pipeline", "service"})
_RARE: Final = frozenset({"customs", "extensions", "plugins", "stream_processor", "streams", "upstream_servers"})
_OF_CHARTS: Final = frozenset({"image", "serviceAccount", "cloudWatch", "cloudWatchLogs", "daemonSetVolumes"})
_LISTS: Final = {"parsers": "parser", "multiline_parsers": "multiline_parser", "upstream_servers": "upstream"}


def compose(text: str, file: str) -> list[yaml.Node]:
    """The YAML documents of a text as nodes, which know their lines. Raises SettingsError with file and line."""
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        for node in nodes:
            _count(node, {}, 0, file)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "it contains characters that YAML does not allow"
        raise refusal(Place(file, mark.line + 1 if mark else 1), f"is not valid YAML ({reason})") from error
    except RecursionError as error:
        raise refusal(Place(file, 1), f"is nested more than {DEEPEST_NESTING} levels deep") from error
    return nodes


def parse(root: yaml.Node, file: str, include: Include) -> Document:
    """The document of this file and of those that it includes. Raises SettingsError with file and line."""
    parts: list[Document] = []
    keys = {key for key, _ in pairs(root)}
    if not keys & (_TOP_LEVEL | _RARE) or (keys & _OF_CHARTS and "pipeline" not in keys):
        raise refusal(
            _place(root, file),
            f"is not a configuration of Fluent Bit, which has the keys {', '.join(sorted(_TOP_LEVEL))}. "
            "If it is a values file of a chart, use `helm template … | falcowatch migrate -`",
        )
    for key, node in _pairs(root, file, "the configuration"):
        place = _place(node, file)
        if key == "includes":
            parts += [include(_text(each), _place(each, file)) for each in _items(node)]
        elif key == "env":
            parts.append(Document(variables=tuple(_environment(node, file))))
        elif key == "service":
            parts.append(Document((Section("service", place, tuple(_options(node, file))),)))
        elif key == "pipeline":
            for name, plugins in _pairs(node, file, "pipeline"):
                parts.append(_sections(_PIPELINE.get(name, name), plugins, file))
        else:
            parts.append(_sections(_LISTS.get(key, key), node, file))
    return joined(parts)


def pairs(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """The keys and values of a mapping; those of a merge key (`<<`) last. Nothing for another node."""
    if isinstance(node, yaml.MappingNode):
        merged = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                yield _text(key), value
        for each in merged:
            yield from pairs(each)


def _sections(kind: str, node: yaml.Node, file: str) -> Document:
    """A list of plugins, each a mapping with a `name`. A mapping in place of the list is one plugin."""
    sections = []
    for each in _items(node):
        if isinstance(each, yaml.MappingNode):
            sections.append(Section(kind, _place(each, file), tuple(_options(each, file))))
        elif kind in _PIPELINE.values():
            raise refusal(_place(each, file), f"must be a mapping with the options of one {kind}")
        else:
            sections.append(Section(kind, _place(each, file)))
    return Document(tuple(sections))


def _options(node: yaml.Node, file: str, above: str = "") -> Iterator[Option]:
    for name, value in _pairs(node, file, "a section"):
        if name.lower() in _ONE_LINE and isinstance(value, yaml.SequenceNode):
            yield Option(above + name, ", ".join(map(_text, value.value)), _place(value, file))
            continue
        for each in _items(value):
            if isinstance(each, yaml.MappingNode):
                yield from _options(each, file, f"{above}{name}.")
            elif isinstance(each, yaml.SequenceNode):
                yield Option(above + name, " ".join(map(_text, each.value)), _place(each, file))
            else:
                yield Option(above + name, _text(each).strip(), _place(each, file))


def _environment(node: yaml.Node, file: str) -> Iterator[tuple[str, str]]:
    """Variables as a mapping, or as a list of mappings with `name` and `value`. A value in a file stays unknown."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            entry = dict(pairs(each))
            if "name" in entry and "value" in entry:
                yield _text(entry["name"]), _text(entry["value"])
        return
    for name, value in _pairs(node, file, "env"):
        yield name, _text(value)


def _pairs(node: yaml.Node, file: str, what: str) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.ScalarNode) and not node.value.strip("~ "):
        return
    if not isinstance(node, yaml.MappingNode):
        raise refusal(_place(node, file), f"{what} must be a mapping of names and values")
    yield from pairs(node)


def _items(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [] if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null" else [node]


def _text(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else "…"


def _place(node: yaml.Node, file: str) -> Place:
    return Place(file, node.start_mark.line + 1)


def _count(node: yaml.Node, known: dict[int, int], depth: int, file: str) -> int:
    """The number of values below this node, with every alias expanded. Raises SettingsError beyond the bounds."""
    if depth > DEEPEST_NESTING:
        raise refusal(_place(node, file), f"is nested more than {DEEPEST_NESTING} levels deep, or contains itself")
    if (count := known.get(id(node))) is None:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        count = known[id(node)] = 1 + sum(_count(child, known, depth + 1, file) for child in children)
    if count > MOST_NODES:
        raise refusal(_place(node, file), f"its aliases expand to over {MOST_NODES} values")
    return count
