"""The captures can be recorded again: the installed containerd, or kubelet with it, leaves the same session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.real import record_containerd, record_kubelet, session
from tests.tail.following import following

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containerd starts a container: only root may")

without_kubelet = pytest.mark.skipif(
    shutil.which("kubelet") is None, reason="kubelet is not on PATH, and no package of Debian contains it"
)


@pytest.mark.parametrize(
    "record", [record_containerd.record, pytest.param(record_kubelet.record, marks=without_kubelet)]
)
async def test_a_recorder_records_the_whole_session(
    tmp_path: Path, record: Callable[[Path, Path], Awaitable[None]]
) -> None:
    printed = [*session.ALERTS, *session.MESSAGES, session.UNFINISHED]

    await record(tmp_path / "recorded", tmp_path / "work")

    async with following(tmp_path / "recorded", partial_seconds=0.2) as seen:
        await seen.until(lambda: len(seen.payloads) >= len(printed))
    assert sorted(seen.payloads) == sorted(printed)
    assert not seen.gaps
