"""Records the log files that a version of containerd writes, for the tests that read them.

    python -m tests.real.record_containerd [FOLDER]

FOLDER holds the programs containerd, ctr and containerd-shim-runc-v2 of the version to record, for example `usr/bin`
of an unpacked Debian package. Without it, those on PATH are used. Needs root, runc and busybox-static. The files go
to tests/data/logs/containerd-<version>; the row that is printed belongs into the README.md beside that folder.
"""

from __future__ import annotations

import gzip
import sys
import time
from pathlib import Path

from tests.process.driver import POD
from tests.real import session
from tests.real.captures import first_on_path, keep, version_of
from tests.real.containerd import pod_of_containerd
from tests.real.printer import Printer, print_until_the_crash


async def record(root: Path, work: Path) -> None:
    """Has the containerd on PATH write the session to `root`/<pod>/falco, rotated and compressed as kubelet does."""
    log = root / POD / "falco/0.log"
    log.parent.mkdir(parents=True)
    async with pod_of_containerd(work, log.parent.parent) as pod:
        async with pod.container(log) as falco:
            at, done = time.time(), list[Path]()

            async def rotate() -> None:
                done.append(await falco.rotate(log, at=at + 10 * len(done)))
                for older in done[:-1]:
                    older.with_name(f"{older.name}.gz").write_bytes(gzip.compress(older.read_bytes(), mtime=0))
                    older.unlink()

            await print_until_the_crash(Printer(falco.stdout, falco.stderr, log), rotate)
        after = log.with_name("1.log")
        async with pod.container(after, restarts=1) as falco:
            await Printer(falco.stdout, falco.stderr, after).prints(*session.RESTARTED)


def main() -> None:
    if sys.argv[1:]:
        first_on_path(Path(sys.argv[1]))
    keep("containerd", version_of("containerd"), record)


if __name__ == "__main__":
    main()
