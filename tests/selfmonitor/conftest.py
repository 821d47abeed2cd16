from pathlib import Path

import pytest

from tests.selfmonitor.whole_agent import aws_environment


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)
