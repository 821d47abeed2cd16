"""promtool accepts the Prometheus rules and passes their unit tests, and each alert has an entry in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.cloudwatch.error_map import BY_CODE
from agent.errors import Denied
from agent.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm/falcowatch/files/rules.yaml"
RUNBOOK = ROOT / "docs/runbook.md"
RUNBOOK_URL = "https://github.com/falcowatch/falcowatch/blob/main/docs/runbook.md"
UNIT_TESTS = sorted((ROOT / "tests/deploy/prometheus").glob("*.yaml"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if not (tool := shutil.which("promtool")):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def anchors(markdown: str) -> set[str]:
    """Returns the anchors that GitHub derives from the headings of a page."""
    headings: Sequence[str] = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_promtool_accepts_the_rules():
    result = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)

    assert result.returncode == 0, result.stderr
    assert f"{len(rules())} rules found" in result.stdout


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_unit_tests_of_the_alerts_pass(file: Path):
    result = promtool("test", "rules", file)

    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_has_a_unit_test_that_fires_and_one_that_does_not():
    fires: set[str] = set()
    does_not_fire: set[str] = set()
    for file in UNIT_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                (fires if case["exp_alerts"] else does_not_fire).add(case["alertname"])

    assert fires == does_not_fire == ALERTS.keys()


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_links_to_its_entry_in_the_runbook(name: str):
    page, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")

    assert page == RUNBOOK_URL
    assert anchor == name.lower()
    assert anchor in anchors(RUNBOOK.read_text())


def test_the_runbook_has_no_entry_for_a_removed_alert():
    entries = re.findall(r"^### (Falco\w+)$", RUNBOOK.read_text(), re.MULTILINE)

    assert sorted(entries) == sorted(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_has_a_severity_a_summary_and_a_description(name: str):
    assert ALERTS[name]["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description", "runbook_url"} == ALERTS[name]["annotations"].keys()


COUNTER_ALERTS = sorted(name for name, rule in ALERTS.items() if re.search(r"\bincrease\(", rule["expr"]))
RETRIED_FOREVER = {"FalcowatchDenied"}
"""The agent repeats a denied put, so this counter grows again after the first scrape."""


@pytest.mark.parametrize("name", sorted(set(COUNTER_ALERTS) - RETRIED_FOREVER))
def test_an_alert_on_a_counter_also_fires_if_the_counter_starts_above_zero(name: str):
    assert re.search(r"(falcowatch_\w+) > 0 unless \1 offset", ALERTS[name]["expr"])


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_the_texts_of_an_alert_name_the_node_and_not_the_address(name: str):
    assert "$labels.instance" not in str(ALERTS[name]["annotations"])


def test_the_rules_use_only_metrics_that_the_agent_has():
    known = {metric.name for metric in Telemetry("test").registry.collect()}
    recorded = {rule["record"] for rule in rules() if "record" in rule}

    for rule in rules():
        for name in re.findall(r"\bfalcowatch[_:][\w:]+", rule["expr"]):
            base = re.sub(r"_(total|bucket|info)$", "", name)
            assert name in recorded or base in known, f"{rule.get('alert') or rule['record']}: {name}"


def test_the_alert_on_denials_lists_every_reason():
    pattern = re.search(r'reason=~"([^"]+)"', ALERTS["FalcowatchDenied"]["expr"])
    assert pattern is not None
    listed = set(pattern[1].split("|"))

    denials = {reason for kind, reason in BY_CODE.values() if kind is Denied}

    assert denials <= listed
    assert listed - denials == {"no_credentials", "credentials"}, "the agent raises these two before it calls AWS"
