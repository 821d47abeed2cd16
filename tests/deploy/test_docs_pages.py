"""The documentation: links have a target, examples are valid, and the names of settings, metrics and files exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from agent.settings import Settings, load_settings
from tests.deploy.cloudformation import Stack
from tests.deploy.conftest import Runner, documents, validate_strictly
from tests.deploy.test_prometheus_rules import anchors
from tools.reference.events import EVENTS

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
OPTION = re.compile(r"`(\w+)\.(\w+)(?:: [^`]*)?`")

FLUENT_BIT_OPTIONS = (
    "`Path`",
    "`Parser`",
    "`DB`",
    "`Mem_Buf_Limit`",
    "`Skip_Long_Lines`",
    "`Refresh_Interval`",
    "`region`",
    "`log_group_name`",
    "`log_stream_name`",
    "`auto_create_group`",
)
"""The Fluent Bit options that the migration page must explain."""


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def code_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def agent_configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each configuration of the agent in the docs and the manifests, with its location."""
    for path in DOCS:
        for number, block in enumerate(code_blocks(path, "yaml")):
            yield f"{path.name}#{number}", yaml.safe_load(block)
    yield "manifests/agent/config.yaml", yaml.safe_load((ROOT / "manifests/agent/config.yaml").read_text())
    for path in sorted((ROOT / "manifests").rglob("*.yaml")):
        if path.is_relative_to(ROOT / "manifests/aws"):
            continue
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and document.get("kind") == "ConfigMap" and "config.yaml" in document["data"]:
                yield str(path.relative_to(ROOT)), yaml.safe_load(document["data"]["config.yaml"])


def chart_values() -> Iterator[tuple[str, str]]:
    """Yields each block of chart values in the docs, with its location."""
    for path in DOCS:
        for number, block in enumerate(code_blocks(path, 'yaml title="values.yaml"')):
            yield f"{path.name}#{number}", block


def commands(page: Path) -> Iterator[list[str]]:
    """Yields each command of the shell blocks of a page as a list of words. Continued lines are joined."""
    for block in code_blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)


CONFIGURATIONS = dict(agent_configurations())
VALUES = dict(chart_values())


def test_every_setting_is_in_the_reference():
    page = (ROOT / "docs/configuration.md").read_text()

    assert [key for key in keys() if f"| `{key}`<br>`FALCOWATCH_{key.upper().replace('.', '__')}` |" not in page] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_setting_that_a_page_names_exists(page: Path):
    known = set(keys())
    sections = {key.split(".")[0] for key in known if "." in key}

    named = {(section, key) for section, key in OPTION.findall(page.read_text()) if section in sections}

    # Values of Falco's chart, named in the runbook, and of our chart.
    of_charts = {"falco.base_syscalls", "falco.outputs_queue", "falco.namespace"}
    of_charts |= {"seal.secretName", "seal.secretKey", "seal.kmsKeyId"}
    of_events = {field for event in EVENTS for field in event.fields}
    missing = {f"{section}.{key}" for section, key in named} - known - of_charts - of_events
    assert missing == set()


@pytest.mark.parametrize("where", sorted(CONFIGURATIONS))
def test_the_agent_accepts_every_configuration_in_the_docs(where: str, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(CONFIGURATIONS[where]))

    load_settings({"FALCOWATCH_NODE_NAME": "node", "FALCOWATCH_CLUSTER_NAME": "cluster"}, file)


@pytest.mark.parametrize("where", sorted(VALUES))
def test_the_chart_accepts_all_values_in_the_docs(where: str, helm: Runner):
    rendered = helm("template", "falcowatch", ROOT / "helm/falcowatch", "--values", "-", stdin=VALUES[where])

    assert rendered.returncode == 0, rendered.stderr
    validate_strictly(documents(rendered.stdout))


def test_both_forms_of_the_example_give_the_same_settings(tmp_path: Path):
    page = ROOT / "docs/configuration.md"
    (block,) = code_blocks(page, "sh")
    environment = dict(line.split("=", 1) for line in block.strip().splitlines())
    environment = {name: value.strip("'") for name, value in environment.items()}
    file = tmp_path / "config.yaml"
    file.write_text(code_blocks(page, "yaml")[0])

    by_environment = load_settings(environment | {"FALCOWATCH_NODE_NAME": "n"}).settings
    by_file = load_settings({"FALCOWATCH_NODE_NAME": "n"}, file).settings

    assert by_environment == by_file


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_link_of_a_page_has_a_target(page: Path):
    elsewhere = {"benchmarks.md", "delivery.md"}  # checked by their own tests
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        if name in elsewhere:
            continue
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text()), target


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_file_that_a_page_names_exists(page: Path):
    pattern = r"(?<![\w/.-])(?:manifests|helm/falcowatch/files|tools)/[\w./*-]*\w"
    for name in set(re.findall(pattern, page.read_text())):
        if name.startswith("manifests/agent"):
            continue  # generated from the chart
        assert any(ROOT.glob(name)), name


def test_every_page_and_manifest_names_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    pages = [*DOCS, ROOT / "README.md", *sorted((ROOT / "manifests").rglob("*.yaml"))]

    named = {
        (path.name, found)
        for path in pages
        for found in re.findall(r"\bfalcowatch[:-](\d+\.\d+\.\d+)", path.read_text())
    }

    assert {page for page, _ in named} >= {"README.md", "walk.md", "air-gap.md", "docker-hosts.md"}
    assert {found for _, found in named} == {version}


def test_the_migration_table_explains_every_option_of_the_example():
    page = (ROOT / "docs/migration-from-fluent-bit.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]

    assert [option for option in FLUENT_BIT_OPTIONS if not any(option in row.split("|")[1] for row in rows)] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_every_metric_that_a_page_names_exists(page: Path):
    table = (ROOT / "docs/metrics.md").read_text()
    known = set(re.findall(r"^\| `(falcowatch_\w+)`", table, re.MULTILINE))

    assert set(re.findall(r"`(falcowatch_\w+)`", page.read_text())) <= known


def test_the_chart_with_the_values_of_the_walk_fits_the_stack(helm: Runner, tmp_path: Path):
    (install,) = [
        words
        for words in commands(ROOT / "docs/walk.md")
        if words[:3] == ["helm", "upgrade", "--install"] and words[3] == "falcowatch"
    ]
    words = [str(ROOT / word) if word == "helm/falcowatch" else word for word in install[3:]]

    rendered = helm("template", *words)

    assert rendered.returncode == 0, rendered.stderr
    objects = documents(rendered.stdout)
    accounts = [one["metadata"] for one in objects if one["kind"] == "ServiceAccount"]
    assert [(one["namespace"], one["name"]) for one in accounts] == [("falcowatch", "falcowatch")]
    (config,) = [one["data"]["config.yaml"] for one in objects if "config.yaml" in one.get("data", {})]
    file = tmp_path / "config.yaml"
    file.write_text(config)
    settings = load_settings({"FALCOWATCH_NODE_NAME": "node"}, file).settings
    stack = Stack(ROOT / "manifests/aws/stack.yaml", AgentIdentity="none")
    group = settings.log_group_template.format(cluster=settings.cluster_name)
    assert group == stack.resources["LogGroup"]["LogGroupName"]
    assert settings.cloudwatch.region == "ap-south-1"


def test_every_file_in_the_falco_commands_exists():
    for page in DOCS:
        for words in commands(page):
            if words[:1] != ["helm"] or "falcosecurity/falco" not in words:
                continue
            files = [
                words[at + 1].partition("=")[2] or words[at + 1]
                for at, word in enumerate(words)
                if word in ("-f", "--set-file")
            ]
            assert [file for file in files if not (ROOT / file).exists()] == [], page


def test_the_saved_queries_that_the_walk_names_are_in_the_stack():
    walk, stack = (ROOT / "docs/walk.md").read_text(), (ROOT / "manifests/aws/stack.yaml").read_text()
    section = walk[walk.index("## 11.") : walk.index("From the command line")]

    names = set(re.findall(r'"([^"]+)"', section)) - {"Saved queries"}

    assert [name for name in names if f"${{ClusterName}}/{name}" not in stack] == []
    assert len(names) == stack.count("AWS::Logs::QueryDefinition")


def test_the_guide_lists_every_alarm_of_the_stack():
    page = (ROOT / "docs/operations.md").read_text()
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::LogAlarm")
    stacks = [
        Stack(ROOT / "manifests/aws/stack.yaml", AgentIdentity="none", **parameters)
        for parameters in ({}, {"AlertAlarms": "metrics"}, {"LogClass": "INFREQUENT_ACCESS"})
    ]

    alarms = {name for stack in stacks for kind in kinds for name in stack.of_type(kind)}

    assert {name for name in alarms if f"`{name}`" not in page} == set()


def test_no_page_and_no_manifest_upgrades_with_reuse_values():
    """`--reuse-values` keeps the defaults of the old chart. upgrade.md explains why it is not used."""
    places = [
        ROOT / "README.md",
        *DOCS,
        *(ROOT / "manifests").rglob("*.yaml"),
        *(ROOT / "helm/falcowatch").rglob("*.*"),
    ]

    found = {
        path.name for path in places if path.is_file() and re.search(r"(?<!then)--?reuse-values", path.read_text())
    }

    assert found <= {"upgrade.md"}
