"""Turns the rows into Grafana's JSON. Panels are placed from left to right, and a full line starts the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tools.dashboards import delivery, nodes
from tools.dashboards.panel import Panel

ROWS = delivery.ROWS + nodes.ROWS
GRID_COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

PRIORITY_COLOURS = {
    "emergency": "#7d2105",
    "alert": "#a82a0c",
    "critical": "#d13212",
    "error": "#ff7f0e",
    "warning": "#f2c037",
    "notice": "#1f77b4",
    "informational": "#7f9fb5",
    "debug": "#b0bec5",
}


def dashboard() -> dict[str, Any]:
    return {
        "title": "Falcowatch",
        "uid": "falcowatch",
        "description": "The delivery of Falco's alerts to CloudWatch. Each row answers one question.",
        "tags": ["falco", "falcowatch", "security"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), *_variables(), _price()]},
        "annotations": {"list": [_firing_alerts()]},
        "links": [],
        "panels": list(_panels()),
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.question,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": GRID_COLUMNS, "h": 1},
            "panels": [],
        }
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > GRID_COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield _panel(number, panel, position)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(number: int, panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("table", "stat")
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": position,
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": instant,
                "range": not instant,
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for at, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _colours(panel)},
        "options": _options(panel.kind),
        **({"transformations": [_hide(panel.hidden_columns)]} if panel.hidden_columns else {}),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.words:
        words = {
            str(word.value): {"text": word.text, "color": word.colour, "index": word.value} for word in panel.words
        }
        defaults["mappings"] = [{"type": "value", "options": words}]
        defaults["color"] = {"mode": "thresholds"}
        defaults["custom"] = {"fillOpacity": 70, "lineWidth": 0}
    if panel.kind == "stat":
        del defaults["min"]
        defaults |= {"thresholds": {"mode": "absolute", "steps": list(panel.steps)}, "color": {"mode": "thresholds"}}
    if panel.kind == "timeseries":
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    return defaults


def _colours(panel: Panel) -> list[dict[str, Any]]:
    if panel.title != "Alerts by priority":
        return []
    return [
        {
            "matcher": {"id": "byRegexp", "options": f"/^{priority}$/i"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for priority, colour in PRIORITY_COLOURS.items()
    ]


def _options(kind: str) -> dict[str, Any]:
    match kind:
        case "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "background",
                "graphMode": "none",
                "justifyMode": "center",
                "textMode": "value",
            }
        case "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "auto",
                "alignValue": "left",
                "rowHeight": 0.8,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "single", "sort": "none"},
            }
        case "table":
            return {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": True}]}
        case _:
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def _hide(columns: Sequence[str]) -> dict[str, Any]:
    return {"id": "organize", "options": {"excludeByName": dict.fromkeys(columns, True)}}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _firing_alerts() -> dict[str, Any]:
    """Marks the times at which an alert of files/rules.yaml fired. Prometheus records them in the metric ALERTS."""
    return {
        "name": "Firing alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Falco.*", alertstate="firing", cluster=~"$cluster", node=~"$node"}',
        "step": "60s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{node}} {{severity}}",
        "useValueForTime": False,
    }


def _variables() -> list[dict[str, Any]]:
    """Each list offers only the values that go with the variables before it."""
    return [
        _variable("job", "falcowatch_build_info"),
        _variable("cluster", 'falcowatch_build_info{job=~"$job"}'),
        _variable("node", 'falcowatch_build_info{job=~"$job", cluster=~"$cluster"}'),
    ]


def _price() -> dict[str, Any]:
    """What the user pays, with the price of us-east-1 and the class STANDARD of June 2026."""
    price = {"text": "0.50", "value": "0.50"}
    return {
        "name": "price",
        "label": "$ per GB",
        "type": "textbox",
        "query": price["value"],
        "current": price,
        "options": [{**price, "selected": True}],
    }


def _variable(name: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
