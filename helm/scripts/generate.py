"""Generates what the chart knows of the agent from the agent itself: `python -m helm.scripts.generate`.

Written are files/settings-defaults.json (the model's defaults), the `config` part of values.schema.json (the model's
schema) and README.md (the comments of values.yaml). A test refuses files that differ from what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from agent.settings.model import PRIORITIES, RETENTION_DAYS, Settings
from helm.scripts.binaries import ROOT

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
    "cloudwatch.endpoint_url": {"pattern": r"^https?://[^\s/]+(/\S*)?$"},
}
"""What the model checks in code, in the words of a schema; the model has the last word when the agent starts."""


def settings_defaults() -> str:
    defaults = Settings(node_name="of the downward API").model_dump(mode="json", exclude={"node_name"})
    return json.dumps(defaults, indent=2) + "\n"


def values_schema() -> str:
    """The schema on disk with its `config` made anew; everything else there is written by hand."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    model = Settings.model_json_schema()
    config = _inlined(model, model["$defs"], "")
    del config["properties"]["node_name"]  # the downward API's
    config["description"] = "The agent's configuration; generated from its settings model."
    schema["properties"]["config"] = config
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values_yaml = (CHART / "values.yaml").read_text()
    rows = [f"| `{key}` | {default} | {comment} |" for key, default, comment in _values(values_yaml)]
    table = "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])
    return (CHART / "README.md.in").read_text().replace("{{values}}", table).replace("{{chart}}", chart["description"])


GENERATED: dict[Path, Callable[[], str]] = {
    CHART / "files" / "settings-defaults.json": settings_defaults,
    CHART / "values.schema.json": values_schema,
    CHART / "README.md": readme,
}


def _inlined(node: Any, definitions: dict[str, Any], path: str) -> Any:
    """No references, titles or defaults: an editor shows the descriptions, and messages name the key's path."""
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions, path)
    kept = {key: value for key, value in node.items() if key not in ("title", "default", "$defs", "format")}
    if "properties" in kept:
        kept["properties"] = {
            name: _inlined(each, definitions, f"{path}.{name}".lstrip(".")) for name, each in kept["properties"].items()
        }
    if "anyOf" in kept:  # a type or null: without branches, a wrong value gets one message
        branch = next(each for each in kept.pop("anyOf") if each != {"type": "null"})
        kept |= {key: value for key, value in branch.items() if key != "format"}
        kept["type"] = [branch["type"], "null"]
    return kept | _BY_PATH.get(path, {})


def _values(text: str) -> Iterator[tuple[str, str, str]]:
    """Each leaf or commented key of values.yaml: its dotted path, its default if a leaf, and the comment above it."""
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


def main() -> None:
    for path, make in GENERATED.items():
        path.write_text(make())


if __name__ == "__main__":
    main()
