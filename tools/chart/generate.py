"""Generates three files of the chart: `python -m tools.chart.generate`.

files/settings-defaults.json contains the defaults of the agent's settings model. The `config` part of
values.schema.json is the schema of that model. README.md contains the comments of values.yaml. A test fails when one of
the three files is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from agent.settings.model import PRIORITIES, RETENTION_DAYS, Settings
from tools import ROOT

CHART = ROOT / "helm" / "falcowatch"

_PRIORITY = {
    "enum": [spell(name) for spell in (str.lower, str.capitalize, str.upper) for name in (*PRIORITIES, "info")]
}
_NAME_IN_TEMPLATE = r"\{(cluster|node|namespace)\}"
_BY_PATH: dict[str, dict[str, Any]] = {
    "falco.minimum_priority": _PRIORITY,
    "falco.urgent_priority": _PRIORITY,
    "cloudwatch.retention_days": {"enum": [*RETENTION_DAYS, None]},
    "cloudwatch.log_group": {"pattern": rf"^([.\-_/#A-Za-z0-9]|{_NAME_IN_TEMPLATE})+$"},
    "cloudwatch.log_stream": {"pattern": rf"^([^:*{{}}]|{_NAME_IN_TEMPLATE})+$"},
    "state_dir": {"pattern": "^/"},
    "tail.root": {"pattern": "^(/.*)?$"},
    "cloudwatch.endpoint_url": {"pattern": r"^https?://[^\s/]+(/\S*)?$"},
}
"""Rules that the model checks in code, as JSON schema. The agent checks its configuration again when it starts."""


def settings_defaults() -> str:
    defaults = Settings(node_name="from the downward API").model_dump(mode="json", exclude={"node_name"})
    return json.dumps(defaults, indent=2) + "\n"


def values_schema() -> str:
    """Returns values.schema.json with a new `config` part. The other parts of the file are written by hand."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    model = Settings.model_json_schema()
    config = _inlined(model, model["$defs"], "")
    del config["properties"]["node_name"]  # comes from the downward API
    config["description"] = "The agent's configuration. Generated from its settings model."
    schema["properties"]["config"] = config
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values_yaml = (CHART / "values.yaml").read_text()
    rows = [f"| `{key}` | {default} | {_cell(comment)} |" for key, default, comment in _values(values_yaml)]
    table = "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])
    does = chart["description"]
    does = f"{does[0].lower()}{does[1:]}"
    return (CHART / "README.md.in").read_text().replace("{{values}}", table).replace("{{chart}}", does)


GENERATED: dict[Path, Callable[[], str]] = {
    CHART / "files" / "settings-defaults.json": settings_defaults,
    CHART / "values.schema.json": values_schema,
    CHART / "README.md": readme,
}


def _inlined(node: Any, definitions: dict[str, Any], path: str) -> Any:
    """Resolves references, and removes titles and defaults: Helm's messages then name the path of the key."""
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions, path)
    kept = {key: value for key, value in node.items() if key not in ("title", "default", "$defs", "format")}
    if "properties" in kept:
        kept["properties"] = {
            name: _inlined(each, definitions, f"{path}.{name}".lstrip(".")) for name, each in kept["properties"].items()
        }
    if "anyOf" in kept:  # "type or null" as one type list: a wrong value then gets one message instead of two
        branch = next(each for each in kept.pop("anyOf") if each != {"type": "null"})
        kept |= {key: value for key, value in branch.items() if key != "format"}
        kept["type"] = [branch["type"], "null"]
    return kept | _BY_PATH.get(path, {})


def _values(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields each leaf and each commented key of values.yaml: its dotted path, its default (leaf only), its comment."""
    defaults = yaml.safe_load(text)
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            comment = []
        elif stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
        elif not stripped.startswith("- "):
            indent = len(line) - len(line.lstrip())
            parents = [parent for parent in parents if parent[0] < indent]
            parents.append((indent, stripped.partition(":")[0]))
            value: Any = defaults
            for _, name in parents:
                value = value[name]
            is_section = isinstance(value, dict) and bool(value)
            if comment or not is_section:
                default = "" if is_section else f"`{json.dumps(value, ensure_ascii=False)}`"
                yield ".".join(name for _, name in parents), default, " ".join(comment)
            comment = []


def _cell(comment: str) -> str:
    """The comment as Markdown. Outside of code, a browser would take `<name>` for a tag and show nothing."""
    parts = comment.split("`")
    parts[::2] = (part.replace("<", "&lt;").replace("|", "\\|") for part in parts[::2])
    return "`".join(parts)


def main() -> None:
    for path, make in GENERATED.items():
        path.write_text(make())


if __name__ == "__main__":
    main()
