"""The trimmed SDKs work like the whole ones, and are much smaller."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import botocore
import pytest

import agent.cloudwatch
from agent.cloudwatch import put_request
from tools.image.trim_sdk import OPERATIONS, SERVICES, compile_without_sources, copy_trimmed_botocore, trim_botocore

MEGABYTE = 1000 * 1000
DATA = Path(botocore.__file__).parent / "data"
REGIONS = ("eu-west-1", "us-gov-west-1", "cn-north-1", "ap-southeast-7")

CLIENTS = f"""
import asyncio, json, botocore
from aiobotocore.session import AioSession
async def main():
    session = AioSession()
    endpoints = {{}}
    for service in {SERVICES!r}:
        async with session.create_client(service, region_name="eu-west-1") as client:
            endpoints[service] = client.meta.endpoint_url
    for region in {REGIONS!r}:
        async with session.create_client("logs", region_name=region) as client:
            endpoints[region] = client.meta.endpoint_url
    print(json.dumps([botocore.__file__, endpoints]))
asyncio.run(main())
"""


def test_a_trimmed_botocore_makes_the_same_clients(tmp_path: Path):
    package = tmp_path / "botocore"
    shutil.copytree(DATA.parent, package, ignore=shutil.ignore_patterns("__pycache__"))

    trim_botocore(package / "data")

    trimmed, endpoints = clients({"PYTHONPATH": str(tmp_path)})
    whole, expected = clients({})
    assert trimmed.startswith(str(tmp_path))
    assert not whole.startswith(str(tmp_path))
    assert endpoints == expected
    sources = (path for path in package.rglob("*") if path.suffix != ".pyc")
    assert sum(path.stat().st_size for path in sources) < 3 * MEGABYTE


def test_a_trimmed_copy_leaves_the_installed_botocore_as_it_is(tmp_path: Path):
    before = sorted(path.name for path in DATA.iterdir())

    copy_trimmed_botocore(DATA, tmp_path / "models")

    assert sorted(path.name for path in DATA.iterdir()) == before
    assert {path.name for path in (tmp_path / "models").iterdir()} == {*SERVICES, "endpoints.json"}


def test_a_trimmed_operation_has_every_field_and_no_documentation(tmp_path: Path):
    copy_trimmed_botocore(DATA, tmp_path / "models")

    model = json.loads(next((tmp_path / "models/logs").rglob("service-2.json")).read_text())
    request = model["shapes"]["PutLogEventsRequest"]
    assert {"logGroupName", "logStreamName", "logEvents", "sequenceToken", "entity"} <= request["members"].keys()
    assert '"documentation"' not in json.dumps(request)


def test_the_operations_that_the_agent_calls_are_kept_and_no_others(tmp_path: Path):
    room = Path(agent.cloudwatch.__file__).parent
    called = {found for path in room.rglob("*.py") for found in re.findall(r'\.call\(\s*"(\w+)"', path.read_text())}
    copy_trimmed_botocore(DATA, tmp_path / "models")

    assert OPERATIONS["logs"] == called | {put_request.OPERATION}
    for service, kept in OPERATIONS.items():
        model = json.loads(next((tmp_path / "models" / service).rglob("service-2.json")).read_text())
        assert model["operations"].keys() == kept


def test_the_errors_of_a_kept_operation_are_kept(tmp_path: Path):
    copy_trimmed_botocore(DATA, tmp_path / "models")

    model = json.loads(next((tmp_path / "models/logs").rglob("service-2.json")).read_text())
    assert {"DataAlreadyAcceptedException", "InvalidSequenceTokenException"} <= model["shapes"].keys()
    assert model["shapes"]["DataAlreadyAcceptedException"]["members"].keys() == {"expectedSequenceToken"}


def test_a_botocore_with_another_layout_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"logs is missing: adapt trim_sdk\.py"):
        trim_botocore(tmp_path)


def test_a_module_without_its_source_is_imported_from_bytecode(tmp_path: Path):
    folder = tmp_path / "client" / "models"
    folder.mkdir(parents=True)
    (folder / "pod.py").write_text('"""Documentation."""\nKIND = "Pod"\n')

    compile_without_sources(folder)

    assert [path.name for path in folder.iterdir()] == ["pod.pyc"]
    program = "import pod; print(pod.KIND, pod.__doc__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "Pod None\n"


def clients(environment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Returns the path of the imported botocore, and the endpoint of each service and region."""
    command = [sys.executable, "-c", CLIENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    path, endpoints = json.loads(done.stdout)
    return path, endpoints
