"""The Grafana dashboard has no overlapping panels, only valid queries, and only fields that Grafana's schema knows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.core.falco_state import FalcoState
from agent.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "helm/falcowatch/files/dashboard.json"
NODE_MODULES = ROOT / ".tools/grafana/node_modules"

INSTALL = "npm install --prefix .tools/grafana --no-save @grafana/schema@13 typescript@5"

QUESTIONS = [
    "Is anything being lost?",
    "How far behind is delivery?",
    "What is limiting delivery?",
    "What is Falco seeing?",
    "What costs money?",
    "Is Falco healthy?",
    "How much CPU and memory does the agent use?",
]

# TypeScript accepts no string for an enum. Plain<T> turns each enum of the schema into the union of its values.
CHECK = """
import type {{ Dashboard }} from '@grafana/schema';
type Plain<T> = T extends string ? `${{T}}` : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? {{ [K in keyof T]: Plain<T[K]> }} : T;
export const dashboard: Plain<Dashboard> = {json};
"""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields each query with the title of its panel. Grafana's variables are replaced by values."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "3h")
            text = text.replace("$price", "0.5")
            yield panel["title"], re.sub(r"\$\w+", ".*", text)


def type_errors(folder: Path, document: dict[str, Any]) -> str:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (NODE_MODULES / "@grafana/schema").exists():
        pytest.skip(f"Grafana's schema is not installed: {INSTALL}")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "check.ts").write_text(CHECK.format(json=json.dumps(document, indent=1)))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--target", "es2022"]
    command = ["node", str(NODE_MODULES / "typescript/bin/tsc"), *options, "--moduleResolution", "bundler", "check.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_there_is_one_row_for_each_question(dashboard: dict[str, Any]):
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == QUESTIONS


def test_panels_fill_the_grid_without_overlap(dashboard: dict[str, Any]):
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells

    width, height = 24, max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(width) for y in range(height)}, "the layout has a hole"


def test_every_panel_has_a_unit_and_every_query_a_legend(dashboard: dict[str, Any]):
    panels = [panel for panel in dashboard["panels"] if panel["type"] not in ("row", "text")]

    assert len(panels) > 40
    for panel in panels:
        assert panel["fieldConfig"]["defaults"].get("unit"), panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_legends_and_queries_name_the_node_and_not_the_address(dashboard: dict[str, Any]):
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]

    assert [one for one in targets if "instance" in one["legendFormat"] or "by (instance" in one["expr"]] == []
    assert any(one["legendFormat"] == "{{node}}" for one in targets)


def test_a_user_can_choose_the_cluster_and_the_node(dashboard: dict[str, Any]):
    names = [variable["name"] for variable in dashboard["templating"]["list"]]

    assert names == ["datasource", "job", "cluster", "node", "price"]
    for title, expression in ((p["title"], t["expr"]) for p in dashboard["panels"] for t in p.get("targets", [])):
        assert 'cluster=~"$cluster", node=~"$node"' in expression, title


def test_firing_alerts_are_annotations_on_the_panels(dashboard: dict[str, Any]):
    rules = yaml.safe_load((ROOT / "helm/falcowatch/files/rules.yaml").read_text())
    (annotation,) = dashboard["annotations"]["list"]
    pattern = re.search(r'alertname=~"([^"]+)"', annotation["expr"])
    assert pattern is not None

    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]

    assert [name for name in names if not re.fullmatch(pattern[1], name)] == []


def test_every_panel_has_a_description_and_a_unique_id(dashboard: dict[str, Any]):
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert all(panel["description"].endswith(".") or "`" in panel["description"] for panel in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_query_uses_metrics_that_the_agent_has(dashboard: dict[str, Any]):
    known = {
        sample.removesuffix("_total")
        for metric in Telemetry("test").registry.collect()
        for sample in (
            metric.name,
            f"{metric.name}_sum",
            f"{metric.name}_bucket",
            f"{metric.name}_count",
            f"{metric.name}_info",
        )
    }

    for title, expression in expressions(dashboard):
        for name in re.findall(r"\b(?:falcowatch|process)_\w+", expression):
            assert name.removesuffix("_total") in known, f"{title}: {name}"


def test_every_metric_is_on_the_dashboard_or_in_the_list_of_exceptions(dashboard: dict[str, Any]):
    left_out = {
        "falcowatch_read_bytes": "records are shown instead",
        "falcowatch_records_synthetic": "own events do not count as records read",
        "falcowatch_backpressure_active": "the share of time is shown instead",
        "falcowatch_checkpoint_age_seconds": "errors are shown instead",
        "falcowatch_entity_rejected": "rarely used",
        "falcowatch_seal_head": "a digest that falcowatch audit compares",
        "falcowatch_kube_watch_restarts": "a restart every few minutes is normal",
    }
    shown = " ".join(expression for _, expression in expressions(dashboard))

    names = {metric.name for metric in Telemetry("test").registry.collect() if metric.name.startswith("falcowatch_")}

    assert {name for name in names if name not in shown} == left_out.keys()


def test_the_coverage_panel_shows_every_state_of_falco_by_node(dashboard: dict[str, Any]):
    (panel,) = [one for one in dashboard["panels"] if one["title"].startswith("Coverage")]
    (target,) = panel["targets"]
    ((mapping,), states) = (panel["fieldConfig"]["defaults"]["mappings"], [state.value for state in FalcoState])

    assert target["legendFormat"] == "{{node}}"
    assert [words["text"] for words in mapping["options"].values()] == states
    factors = re.findall(r'(\d) \* falcowatch_falco_state\{[^}]*state="(\w+)"\}', target["expr"])
    assert dict(factors) == {number: words["text"] for number, words in mapping["options"].items()}


def test_promtool_parses_every_query(dashboard: dict[str, Any], tmp_path: Path):
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    rules = [
        {"record": f"panel:query:{number}", "expr": expression}
        for number, (_, expression) in enumerate(expressions(dashboard))
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    result = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert f"{len(rules)} rules found" in result.stdout


PROMETHEUS_ANNOTATION = {"expr", "step", "titleFormat", "textFormat", "useValueForTime"}
"""Fields that Grafana's Prometheus data source adds to an annotation. The schema has only the fields of all sources."""


def test_grafanas_schema_knows_every_field(dashboard: dict[str, Any], tmp_path: Path):
    document = json.loads(json.dumps(dashboard))
    for annotation in document["annotations"]["list"]:
        for name in PROMETHEUS_ANNOTATION:
            del annotation[name]

    assert type_errors(tmp_path, document) == ""


def test_grafanas_schema_rejects_a_wrong_field(dashboard: dict[str, Any], tmp_path: Path):
    broken = json.loads(json.dumps(dashboard).replace('"gridPos"', '"gridPosition"'))

    assert "gridPosition" in type_errors(tmp_path, broken)
