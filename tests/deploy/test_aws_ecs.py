"""The ECS task definition is valid for botocore, its agent reads the file that its Falco writes, and nothing grows."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from agent.settings import Settings, load_settings
from tests.deploy.agent_at_work import agent_at_work, made_up_credentials

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
    assert container(task, "falcowatch")["stopTimeout"] > Settings().drain_seconds


def test_every_container_logs_with_a_limit(task: dict[str, Any]):
    for one in task["containerDefinitions"]:
        options = one["logConfiguration"]["options"]
        assert options.keys() == {"max-size", "max-file"}, one["name"]


def test_falco_and_the_agent_have_a_health_check_of_their_own_port(task: dict[str, Any]):
    falco, agent = (container(task, name)["healthCheck"]["command"] for name in ("falco", "falcowatch"))

    assert "http://127.0.0.1:8765/healthz" in falco
    assert f":{Settings().http.port}/healthz" in agent[-1]


async def test_the_health_check_fails_without_an_agent_and_passes_with_one(
    task: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _, _, option, program = container(task, "falcowatch")["healthCheck"]["command"]
    made_up_credentials(monkeypatch)

    async def check(url: str) -> int:
        text = program.replace("http://127.0.0.1:9801", url)
        process = await asyncio.create_subprocess_exec(sys.executable, option, text, stderr=subprocess.DEVNULL)
        return await process.wait()

    async with agent_at_work(tmp_path) as at_work:
        with_agent = await check(at_work.url)
    without = await check(at_work.url)

    assert (with_agent, without) == (0, 1)


def test_falco_loads_the_rules_of_the_charts_values(task: dict[str, Any]):
    values = yaml.safe_load((ROOT / "manifests/falco/values.yaml").read_text())
    falco, falcoctl = container(task, "falco"), container(task, "falcoctl")
    selected = [
        f"rules[].{verb}.{key}={value}"
        for choice in values["falco"]["rules"]
        for verb, what in choice.items()
        for key, value in what.items()
    ]

    installed = [ref.rpartition("/")[2] for ref in falcoctl["command"] if ref.startswith("ghcr.io/")]

    assert installed == values["falcoctl"]["config"]["artifact"]["install"]["refs"]
    assert [option for option in falco["command"] if option.startswith("rules[]")] == selected
    assert {"containerName": "falcoctl", "condition": "SUCCESS"} in falco["dependsOn"]
    files = [path for flag, path in pairwise(falco["command"]) if flag == "-r"]
    assert files == ["/rules/falco_rules.yaml", "/rules/falco-sandbox_rules.yaml"]
    assert "--rulesfiles-dir=/rules" in falcoctl["command"]


def test_the_file_of_alerts_is_rotated_and_the_agent_reads_the_rotated_files(task: dict[str, Any], tmp_path: Path):
    rotate, falco, agent = (container(task, name) for name in ("rotate", "falco", "falcowatch"))
    log = tmp_path / "alerts.jsonl"
    log.write_bytes(b"")
    os.truncate(log, 51 * 1024 * 1024)
    for day in range(1, 7):
        (tmp_path / f"alerts.jsonl.2026010{day}-000000").touch()
    (program,) = rotate["command"]

    # The program runs once: instead of its pause, it raises.
    once = program.replace("/var/log/falco", str(tmp_path)).replace("time.sleep(10)", "raise SystemExit")
    subprocess.run([sys.executable, "-c", once], check=True)

    kept = sorted(path.name for path in tmp_path.iterdir())
    (pattern,) = json.loads(
        next(one["value"] for one in agent["environment"] if one["name"] == "FALCOWATCH_TAIL__PATHS")
    )
    assert "alerts.jsonl" not in kept
    assert len(kept) == 5
    assert kept[:4] == [f"alerts.jsonl.2026010{day}-000000" for day in range(3, 7)]
    assert all(fnmatch(f"/var/log/falco/{name}", pattern) for name in kept)
    assert "file_output.keep_alive=false" in falco["command"], "otherwise Falco goes on writing to the renamed file"
    assert rotate["entryPoint"] == ["python", "-c"]
