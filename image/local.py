"""Builds the image without a registry: `python -m image.local`, as root on Debian or Ubuntu; `base`: its base only.

Its base is Debian 13 by debootstrap, with Debian's own Python 3.13, in place of the official Python image; the
Dockerfile is the same. Images and layers are kept in STORAGE, apart from whatever else this machine has.
Raises MissingPart where a part cannot be had, with the reason and the remedy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORAGE = Path("/var/tmp/falcowatch-containers")
"""Outside the tree: whatever walks that should not meet the files of whole systems."""

BASE = "localhost/falcowatch-base:debian13"
IMAGE = "localhost/falcowatch:local"
PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
MIRROR = "http://deb.debian.org/debian"

_CERTIFICATES = Path("/etc/ssl/certs")


class MissingPart(Exception):
    """Something the build needs is not here; the message says what, and how to get it."""


def build() -> str:
    """The name of the image, built from the tree as it stands. Raises MissingPart, or the failed step's error."""
    if not has_base():
        raise MissingPart("there is no base image; `make test-tools` builds it (as root, on Debian or Ubuntu)")
    # The host's certificates: pip inside must trust what pip outside trusts, a company's proxy included.
    volumes = ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []
    options = ["--pull-never", "--network", "host", "--build-arg", f"PYTHON_IMAGE={BASE}", *volumes]
    subprocess.run(buildah("build", *options, "--tag", IMAGE, str(ROOT)), check=True, stdout=sys.stderr)
    # The image this one replaces goes, unless a container still uses it.
    subprocess.run(buildah("rmi", "--prune"), check=False, capture_output=True)
    return IMAGE


def build_base() -> None:
    """Debian 13 in 290 MB, once. Raises MissingPart, or the failed step's error."""
    _require("buildah", "debootstrap")
    STORAGE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORAGE) as folder:
        system = Path(folder) / "system"
        # In a mount namespace of its own: debootstrap may leave /proc mounted in the tree that is removed afterwards.
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
    """The command line of a buildah that knows only our storage, and needs no container runtime to build."""
    storage = ["--root", str(STORAGE / "root"), "--runroot", str(STORAGE / "run")]
    isolation = ["--isolation", "chroot"] if command == "build" else []
    return ["buildah", *storage, command, *isolation, *arguments]


def _require(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            raise MissingPart(f"{tool} is not here; `make test-tools` installs it (as root, on Debian or Ubuntu)")
    if os.geteuid() != 0:
        raise MissingPart("buildah's chroot isolation and debootstrap want root")


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
