"""The ECS task definition is valid for botocore, and its agent reads the file that its Falco writes."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from agent.settings import load_settings

ROOT = Path(__file__).parents[2]
TASK = ROOT / "manifests/ecs/task-definition.yaml"


@pytest.fixture
def task() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(TASK.read_text())
    return document


def container(task: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in task["containerDefinitions"] if one["name"] == name)


def test_the_task_fits_the_ecs_api(task: dict[str, Any]):
    service = botocore.session.get_session().get_service_model("ecs")

    report = ParamValidator().validate(task, service.operation_model("RegisterTaskDefinition").input_shape)

    assert report.generate_report() == ""


def test_every_mount_has_its_volume(task: dict[str, Any]):
    volumes = {volume["name"] for volume in task["volumes"]}

    mounted = {mount["sourceVolume"] for one in task["containerDefinitions"] for mount in one["mountPoints"]}

    assert mounted == volumes


def test_the_agents_environment_is_a_valid_configuration(task: dict[str, Any]):
    environment = {one["name"]: one["value"] for one in container(task, "falcowatch")["environment"]}
    filled = {name: value.replace("<YOUR-", "my-").replace(">", "").lower() for name, value in environment.items()}

    settings = load_settings(filled).settings

    assert settings.tail.root is None
    assert settings.enrich.mode == "none"


def test_the_agent_reads_the_file_that_falco_writes(task: dict[str, Any]):
    falco, agent = container(task, "falco"), container(task, "falcowatch")
    options = dict(option.split("=", 1) for option in falco["command"] if "=" in option)
    patterns = load_settings(
        {one["name"]: one["value"] for one in agent["environment"] if one["name"].startswith("FALCOWATCH_TAIL")}
    ).settings.tail.paths

    assert options["file_output.enabled"] == "true"
    assert options["json_output"] == "true"
    assert any(fnmatch(options["file_output.filename"], pattern) for pattern in patterns)
    writes = next(mount for mount in falco["mountPoints"] if mount["sourceVolume"] == "alerts")
    reads = next(mount for mount in agent["mountPoints"] if mount["sourceVolume"] == "alerts")
    assert writes["containerPath"] == reads["containerPath"]
    assert reads["readOnly"] is True


def test_ecs_waits_longer_than_the_agent_drains(task: dict[str, Any]):
    from agent.settings import Settings

    assert container(task, "falcowatch")["stopTimeout"] > Settings().drain_seconds
