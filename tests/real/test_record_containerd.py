"""The captures of containerd can be recorded again: the installed containerd writes the same session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real import session
from tests.real.record_containerd import record
from tests.tail.following import following

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containerd starts a container: only root may")


async def test_the_recorder_has_the_installed_containerd_write_the_whole_session(tmp_path: Path) -> None:
    printed = [*session.ALERTS, *session.MESSAGES, session.UNFINISHED]

    await record(tmp_path / "recorded", tmp_path / "containerd")

    async with following(tmp_path / "recorded", partial_seconds=0.2) as seen:
        await seen.until(lambda: len(seen.payloads) >= len(printed))
    assert sorted(seen.payloads) == sorted(printed)
    assert not seen.gaps
