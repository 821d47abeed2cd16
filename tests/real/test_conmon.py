"""A real log writer: CRI-O's and podman's conmon writes the file that the agent tails.

conmon cuts long lines at its read size, inside characters, and ends a record with an empty F line where the
newline came in a read of its own. It runs `cat` in a container under runc, so
it needs root and Debian's packages; elsewhere this skips and says what is missing.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, container

CAPTURED = Path(__file__).parent.parent / "data" / "falco"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="conmon starts a container: only root may"),
    *(
        pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not here; `make test-tools` installs it")
        for tool in ("conmon", "runc")
    ),
]


@contextmanager
def printed_by_conmon(folder: Path, lines: Path, log: Path) -> Iterator[None]:
    """`cat lines` in a container whose output conmon writes to `log`, as CRI-O has it."""
    bundle, state, name = folder / "bundle", folder / "runc", f"falcowatch-{uuid.uuid4().hex[:12]}"
    root = bundle / "rootfs"
    root.mkdir(parents=True)
    for merged in ("bin", "lib", "lib64"):
        (root / merged).symlink_to(f"usr/{merged}")
    runtime = ["runc", "--root", str(state)]
    specification = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": False},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/usr/bin/cat", f"/alerts/{lines.name}"],
            "env": [],
            "cwd": "/",
            "capabilities": {},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
            {"destination": "/alerts", "type": "bind", "source": str(lines.parent), "options": ["bind", "ro"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (bundle / "config.json").write_text(json.dumps(specification))
    conmon = [
        "conmon", "--cid", name, "--cuuid", name, "--name", name, "--runtime", shutil.which("runc") or "runc",
        "--runtime-arg", f"--root={state}", "--bundle", str(bundle), "--log-path", f"k8s-file:{log}",
        "--container-pidfile", str(folder / "container.pid"), "--conmon-pidfile", str(folder / "conmon.pid"),
        "--exit-dir", str(folder), "--full-attach",
    ]  # fmt: skip
    try:
        subprocess.run(conmon, check=True, timeout=PATIENCE_SECONDS)
        # conmon leaves at once and has runc create the container; its pid is known when that is done.
        until = time.monotonic() + PATIENCE_SECONDS
        while not (folder / "container.pid").exists() and time.monotonic() < until:
            time.sleep(0.05)
        subprocess.run([*runtime, "start", name], check=True, timeout=PATIENCE_SECONDS)
        yield
    finally:
        subprocess.run(
            [*runtime, "delete", "--force", name], check=False, capture_output=True, timeout=PATIENCE_SECONDS
        )


async def test_what_conmon_writes_arrives_byte_for_byte(tmp_path):
    captured = [line for name in ("0.40.0-big", "0.44.1-longmb", "0.44.1-odd") for line in lines_of(name)]
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_bytes(b"".join(b"%b\n" % recently(line) for line in captured))
    log = container(tmp_path) / "0.log"

    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        agent(tmp_path, cloudwatch.url),
    ):
        with printed_by_conmon(tmp_path, alerts, log):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await cloudwatch.until(lambda: cloudwatch.count("falco") == len(captured))
        messages = [event.message for event in cloudwatch.events("falco")]

    assert b" stdout P " in log.read_bytes()
    arrived = sorted(message[: message.rfind(b',"falcowatch":{')] + b"}" for message in messages)
    assert arrived == sorted(alerts.read_bytes().split(b"\n")[:-1])


def lines_of(name: str) -> list[bytes]:
    return [line for line in (CAPTURED / f"{name}.jsonl").read_bytes().split(b"\n") if line]


def recently(line: bytes) -> bytes:
    """With the time of now, since CloudWatch refuses what is older than 14 days; all else as it was captured."""
    from tests.process.driver import recent

    at = line.rfind(orjson.loads(line)["time"].encode())
    return line[:at] + recent().encode() + line[at + 30 :]
