"""Writers of numbered alerts, with the file handling of container runtimes and rotators.

Each number is written once, as one record. Rotated files are kept or deleted as the real rotator does it.
"""

import gzip
import os
import random
import shutil
import time
import uuid
from pathlib import Path

KUBELET_KEEPS = 5
LIVES_SECONDS = 1.5
"""A log, and a rotated file, lives at least this long; otherwise it may exist only between two scans of the agent."""


def moment(nanoseconds: int) -> str:
    seconds, fraction = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)) + f"{fraction:09d}Z"


def numbered(number: int, *, urgent: bool, filler: int) -> bytes:
    """An alert in Falco's format. `evt.n` is its number."""
    return (
        b'{"hostname":"node","output":"%b","output_fields":{"container.id":"host","evt.n":%d},"priority":"%b",'
        b'"rule":"Read sensitive file untrusted","source":"syscall","tags":["a"],"time":"%b"}'
        % (b"x" * filler, number, b"Critical" if urgent else b"Notice", moment(time.time_ns()).encode())
    )


class Writer:
    """Writes alerts with the numbers from 0 on. Subclasses define the files and their rotation."""

    def __init__(self, place: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.written = 0
        self.written_bytes = 0
        self._place = place

    def settings(self) -> dict[str, str]:
        """The agent's settings for finding the files."""
        raise NotImplementedError

    def start(self) -> None:
        """Write the first alert."""
        self.line(numbered(self.written, urgent=False, filler=10))
        self.written += 1

    def burst(self, most: int) -> None:
        """Write some alerts, and sometimes rotate."""
        for _ in range(self.random.randrange(1, most)):
            filler = self.random.choice((50, 300, 900, 900, 20_000))
            alert = numbered(self.written, urgent=self.random.random() < 0.1, filler=filler)
            self.written += 1
            self.line(alert)
        if self.random.random() < 0.15:
            self.rotate()

    def line(self, alert: bytes) -> None:
        raise NotImplementedError

    def rotate(self) -> None:
        raise NotImplementedError

    def append(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)
        self.written_bytes += len(data)


class Kubelet(Writer):
    """A container under containerd: parts of 16 KiB with stderr between them. Files are renamed, later compressed."""

    keeps: int | None = None
    """Number of rotated files that are kept; None: all."""

    def __init__(self, place: Path, seed: int) -> None:
        super().__init__(place, seed)
        self._rotations = 0
        self._start_pod()

    def settings(self) -> dict[str, str]:
        return {"tail__root": str(self._place / "pods")}

    def line(self, alert: bytes) -> None:
        pieces = [alert[start : start + 16_384] for start in range(0, len(alert), 16_384)]
        for number, piece in enumerate(pieces):
            self._write("stdout", "F" if number == len(pieces) - 1 else "P", piece)
            if number < len(pieces) - 1 and self.random.random() < 0.3:
                self._write("stderr", "F", b"between two parts")
            if number < len(pieces) - 1 and self.random.random() < 0.1:
                self.rotate()

    def rotate(self) -> None:
        rotated = sorted(path for path in self._live.parent.glob("*.log.*") if path.suffix != ".gz")
        for path in rotated:
            aside = path.with_name(f"{path.name}.tmp")
            aside.write_bytes(gzip.compress(path.read_bytes(), 1))
            aside.rename(path.with_name(f"{path.name}.gz"))
            path.unlink()
        if self.keeps is not None:
            for path in sorted(self._live.parent.glob("*.log.*"))[: -self.keeps]:
                if time.time() - path.stat().st_ctime >= LIVES_SECONDS:
                    path.unlink()
        self._rotations += 1
        self._live.rename(self._live.with_name(f"{self._live.name}.20261123-{self._rotations:06d}"))
        self._live.touch()

    def _write(self, stream: str, tag: str, text: bytes) -> None:
        self.append(self._live, f"{moment(time.time_ns())} {stream} {tag} ".encode() + text + b"\n")

    def _start_pod(self) -> None:
        self._directory = self._place / "pods" / f"falco_falco-x7k2p_{uuid.UUID(int=self.random.getrandbits(128))}"
        self._restart = 0
        self._live = self._directory / "falco" / "0.log"
        self._live.parent.mkdir(parents=True)
        self._live.touch()


class CrashingContainer(Kubelet):
    """Each restart begins a new N.log, and kubelet deletes the log of the restart before the last."""

    def rotate(self) -> None:
        old, self._restart = self._live, self._restart + 1
        if self._restart > 1:
            for path in self._live.parent.glob(f"{self._restart - 2}.log*"):
                path.unlink()
        self._live = old.with_name(f"{self._restart}.log")
        self._live.touch()

    def line(self, alert: bytes) -> None:
        self._write("stdout", "F", alert)


class MovingPod(Kubelet):
    """The pod is deleted with its directory, and a new pod with another uid follows."""

    def rotate(self) -> None:
        old = self._directory
        if time.time() - old.stat().st_mtime >= LIVES_SECONDS:
            self._start_pod()
            shutil.rmtree(old)

    def line(self, alert: bytes) -> None:
        self._write("stdout", "F", alert)


class Host(Writer):
    """Falco's `file_output` on a host: plain JSON lines."""

    def __init__(self, place: Path, seed: int) -> None:
        super().__init__(place, seed)
        (place / "log").mkdir(parents=True)
        self._live = place / "log" / "falco.log"

    def settings(self) -> dict[str, str]:
        return {"tail__root": "", "tail__paths": f'["{self._live}"]'}

    def line(self, alert: bytes) -> None:
        self.append(self._live, alert + b"\n")

    def _shift_rotated(self) -> Path:
        """Rename falco.log.N to N+1, as logrotate does. Returns the free name falco.log.1."""
        kept = sorted(
            self._live.parent.glob("falco.log.*"), key=lambda path: int(path.name.split(".")[2]), reverse=True
        )
        for path in kept:
            number, *rest = path.name.split(".")[2:]
            path.rename(path.with_name(".".join(["falco.log", str(int(number) + 1), *rest])))
        return self._live.with_name("falco.log.1")


class LogrotateCreate(Host):
    """logrotate `create`: rename, then create a new file. Falco writes once more into the renamed file."""

    def rotate(self) -> None:
        if self._live.exists():
            rotated = self._shift_rotated()
            self._live.rename(rotated)
            alert = numbered(self.written, urgent=False, filler=10)
            self.written += 1
            self.append(rotated, alert + b"\n")
            self._live.touch()


class LogrotateCopytruncate(Host):
    """logrotate `copytruncate`: copy the file, then truncate it. Half of the copies are compressed."""

    def rotate(self) -> None:
        if self._live.exists():
            copy = self._shift_rotated()
            shutil.copyfile(self._live, copy)
            os.truncate(self._live, 0)
            if self.random.random() < 0.5:
                copy.with_name(f"{copy.name}.gz").write_bytes(gzip.compress(copy.read_bytes(), 1))
                copy.unlink()


class Recreating(Host):
    """The file is deleted, and the writer creates a new one."""

    def start(self) -> None:
        self._created_at = time.monotonic()
        super().start()

    def rotate(self) -> None:
        if time.monotonic() - self._created_at >= LIVES_SECONDS:
            self._created_at = time.monotonic()
            self._live.unlink()
            self._live.touch()


class Docker(Host):
    """Docker's json-file driver: parts of 16 KiB, rotated by renaming."""

    def line(self, alert: bytes) -> None:
        import orjson

        pieces = [alert[start : start + 16_384].decode() for start in range(0, len(alert), 16_384)]
        pieces[-1] += "\n"
        for piece in pieces:
            entry = {"log": piece, "stream": "stdout", "time": moment(time.time_ns())}
            self.append(self._live, orjson.dumps(entry) + b"\n")
            if not piece.endswith("\n") and self.random.random() < 0.1:
                self.rotate()

    def rotate(self) -> None:
        if self._live.exists():
            self._live.rename(self._shift_rotated())
            self._live.touch()


class KubeletThatDeletes(Kubelet):
    """Keeps as many rotated files as kubelet does by default, and deletes older ones."""

    keeps = KUBELET_KEEPS


WRITERS: dict[str, type[Writer]] = {
    "kubelet": Kubelet,
    "kubelet-deletes": KubeletThatDeletes,
    "crashing-container": CrashingContainer,
    "moving-pod": MovingPod,
    "logrotate-create": LogrotateCreate,
    "logrotate-copytruncate": LogrotateCopytruncate,
    "recreating": Recreating,
    "docker": Docker,
}
DELETES = {"kubelet-deletes", "crashing-container", "moving-pod", "recreating"}
"""Writers that delete files. What they delete while no agent runs cannot be read."""
LEAVES_NO_TRACE = {"crashing-container", "moving-pod"}
"""Writers that can create and delete a file while no agent runs, so that no trace of it remains."""
