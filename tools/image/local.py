"""Builds the image without a registry: `python -m tools.image.local`, as root on Debian or Ubuntu.

The Dockerfile is the same as elsewhere, but the base is not the official Python image. debootstrap makes a base of
Debian 13 with Debian's Python 3.13. `python -m tools.image.local base` makes only this base. Images and layers are
stored in STORAGE, apart from other container storage on the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import ROOT

STORAGE = Path("/var/tmp/falcowatch-containers")
"""Outside the repository, so that tools which read all of its files do not read whole file systems."""

BASE = "localhost/falcowatch-base:debian13"
DEPENDENCIES = "localhost/falcowatch-dependencies:local"
IMAGE = "localhost/falcowatch:local"
PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
MIRROR = "http://deb.debian.org/debian"

_CERTIFICATES = Path("/etc/ssl/certs")


class MissingPart(Exception):
    """A program, the base image or a privilege is missing. The message names it, and says how to get it."""


def build() -> str:
    """Builds the image from the working tree and returns its name. Raises MissingPart or CalledProcessError."""
    if not has_base():
        raise MissingPart("there is no base image; `make test-tools` makes it (as root, on Debian or Ubuntu)")
    # The pip of the build must trust the same certificates as the host, for example that of a company's proxy.
    volumes = ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []
    options = ["--pull-never", "--network", "host", "--build-arg", f"PYTHON_IMAGE={BASE}", *volumes]
    # The stage of the dependencies has a name, so that it is kept: building it takes longer than the rest together.
    for target in (["--target", "dependencies", "--tag", DEPENDENCIES], ["--tag", IMAGE]):
        subprocess.run(buildah("build", "--layers", *options, *target, str(ROOT)), check=True, stdout=sys.stderr)
    # Remove the images that these replace, and the layers without a name, unless a container still uses them.
    subprocess.run(buildah("rmi", "--prune"), check=False, capture_output=True)
    return IMAGE


def build_base() -> None:
    """Makes the base image: Debian 13, 290 MB. Raises MissingPart or CalledProcessError."""
    _require("buildah", "debootstrap")
    STORAGE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORAGE) as folder:
        system = Path(folder) / "system"
        # A separate mount namespace: debootstrap may leave /proc mounted in the directory that is removed afterwards.
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(system), MIRROR]
        subprocess.run(["unshare", "--mount", *bootstrap], check=True, stdout=sys.stderr)
        subprocess.run(["tar", "-c", "-f", f"{folder}/system.tar", "-C", str(system), "."], check=True)
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD system.tar /\n")
        subprocess.run(buildah("build", "--quiet", "--tag", BASE, folder), check=True, stdout=sys.stderr)


def has_base() -> bool:
    _require("buildah")
    inspected = subprocess.run(buildah("inspect", "--type", "image", BASE), capture_output=True, check=False)
    return inspected.returncode == 0


def buildah(command: str, *arguments: str) -> list[str]:
    """Returns a buildah command that uses our storage, and builds by chroot instead of a container runtime."""
    storage = ["--root", str(STORAGE / "root"), "--runroot", str(STORAGE / "run")]
    isolation = ["--isolation", "chroot"] if command == "build" else []
    return ["buildah", *storage, command, *isolation, *arguments]


def _require(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            raise MissingPart(f"{tool} is not installed; `make test-tools` installs it (as root, on Debian or Ubuntu)")
    if os.geteuid() != 0:
        raise MissingPart("buildah's chroot isolation and debootstrap need root")


def main(arguments: list[str]) -> None:
    try:
        if not has_base():
            build_base()
        if arguments != ["base"]:
            sys.stdout.write(f"{build()} (buildah --root {STORAGE / 'root'})\n")
    except MissingPart as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
