"""Collects the files of the final image: `python assemble_root.py VENV ROOT`, run by the Python of the base image.

ROOT receives the virtual environment, the interpreter, the standard library without the parts that the agent does not
use, the shared libraries that these load, and the certificates. It also receives the records from which vulnerability
scanners learn the Debian package of each library. ROOT has no shell, no package manager and no pip.

Needs only `ldd`, `ldconfig`, on Debian `dpkg-query`, and the standard library, because the Python of the base image has
no other packages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

UNUSED_MODULES = (
    "site-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter", "turtledemo",
    "turtle.py", "venv", "curses", "dbm", "sqlite3", "__pycache__", "config-*",
    "_tkinter*", "_test*", "_ctypes_test*", "xxlimited*", "_curses*", "_dbm*", "_gdbm*", "_sqlite3*", "readline*",
)  # fmt: skip
"""Below the standard library. `__pycache__` is left out because the Dockerfile compiles every module afterwards."""

COMMANDS = ("python*", "falcowatch")
"""The commands of the environment that are kept. Dependencies install commands that the agent does not use."""

LOADED_AT_RUN_TIME = ("libgcc_s.so.1",)
"""glibc opens this library itself when a thread is cancelled, so `ldd` does not list it."""

USERS = "root:x:0:0:root:/:/sbin/nologin\nfalcowatch:x:9801:0:Falcowatch:/:/sbin/nologin\n"
GROUPS = "root:x:0:\n"
NAME_SERVICES = "hosts: files dns\n"


def assemble(venv: Path, root: Path) -> None:
    _copy_top_level_links(root)
    _copy_tree(venv, root)
    _remove_other_commands(_below(root, venv) / "bin")
    _copy_python(root)
    libraries = sorted(set(_libraries(root)))
    for library in libraries:
        _copy_file(library, root)
    for name, text in (("passwd", USERS), ("group", GROUPS), ("nsswitch.conf", NAME_SERVICES)):
        _put(root / "etc" / name, text)
    for path in (Path("/etc/os-release"), Path("/etc/ssl/certs/ca-certificates.crt")):
        if path.exists():
            _copy_file(path, root)
    _index_libraries(root)
    _name_packages(libraries, root)


def _copy_top_level_links(root: Path) -> None:
    """Copies links like /lib -> usr/lib, because the path of the dynamic loader goes through them."""
    root.mkdir(parents=True)
    for path in Path("/").iterdir():
        if path.is_symlink() and not path.readlink().is_absolute():
            (root / path.readlink()).mkdir(parents=True, exist_ok=True)
            (root / path.name).symlink_to(path.readlink())


def _remove_other_commands(folder: Path) -> None:
    for path in folder.iterdir():
        if not any(path.match(command) for command in COMMANDS):
            path.unlink()


def _copy_python(root: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    standard_library = Path(sysconfig.get_path("stdlib"))
    _copy_tree(standard_library, root, ignore=UNUSED_MODULES)
    executable = Path(sys.base_prefix) / "bin" / version
    _copy_file(executable, root)
    for name in ("python3", "python"):
        link = _below(root, executable.with_name(name))
        link.unlink(missing_ok=True)
        link.symlink_to(version)


def _libraries(root: Path) -> Iterator[Path]:
    yield from _needed_by([path for path in root.rglob("*") if _is_program_or_library(path)])
    for name in LOADED_AT_RUN_TIME:
        found = sorted(Path("/usr/lib").rglob(name)) + sorted(Path("/lib").rglob(name))
        yield from found[:1]


def _is_program_or_library(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _needed_by(files: list[Path]) -> Iterator[Path]:
    """Raises FileNotFoundError if the base image lacks a library, so that the build fails instead of the agent.

    One `ldd` lists the libraries of all files: it names each file on a line that ends with a colon.
    """
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    needing = ""
    for line in listed.splitlines():
        if line.startswith("/"):
            needing = line.removesuffix(":")
        if "not found" in line:
            raise FileNotFoundError(f"{needing} needs {line.strip()}")
        if match := re.search(r"(/\S+) \(0x", line):
            yield Path(match[1])


def _index_libraries(root: Path) -> None:
    """The base image keeps libpython in /usr/local/lib. The loader finds that directory only through this index."""
    shutil.copy("/etc/ld.so.conf", root / "etc" / "ld.so.conf")
    shutil.copytree("/etc/ld.so.conf.d", root / "etc" / "ld.so.conf.d")
    subprocess.run(["ldconfig", "-r", root], check=True)


def _name_packages(libraries: list[Path], root: Path) -> None:
    """Writes one file per package below status.d, as distroless images do: vulnerability scanners read these files."""
    if shutil.which("dpkg-query") is None:
        return
    for name in sorted(_owners(libraries)):
        status = subprocess.run(["dpkg-query", "--status", name], capture_output=True, text=True, check=True).stdout
        _put(root / "var/lib/dpkg/status.d" / name.partition(":")[0], status)


def _owners(libraries: list[Path]) -> set[str]:
    """The packages of these libraries. A package may list a library with or without /usr, or under its real name."""
    names = {
        name
        for library in libraries
        for name in (library, library.resolve(), Path(str(library).removeprefix("/usr")), Path(f"/usr{library}"))
    }
    # One call for all names, because each call reads the lists of all packages. It ends with 1 if a name is unknown.
    done = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False)
    return {line.partition(": ")[0] for line in done.stdout.splitlines() if "diversion" not in line}


def _copy_tree(source: Path, root: Path, *, ignore: tuple[str, ...] = ()) -> None:
    shutil.copytree(
        source, _below(root, source), symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ignore)
    )


def _copy_file(source: Path, root: Path) -> None:
    """Copies the target of a link under the name of the link."""
    target = _below(root, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source.resolve(), target)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


if __name__ == "__main__":
    assemble(Path(sys.argv[1]), Path(sys.argv[2]))
