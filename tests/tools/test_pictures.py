"""The pictures of README.md: which moments of the demo they show, and that they load nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools import ROOT
from tools.pictures import scenes_of, svg_of

CLEAR = "\r\x1b[2K\x1b[1A\x1b[2K"
SCREEN = CLEAR.join(["Notice\r\n", "Critical\r\n", "Critical Error Notice\r\n", "Critical\r\n"]) + "\r\x1b[1A\x1b[2K"


def test_the_scenes_are_the_frame_with_most_priorities_and_the_end():
    scenes = scenes_of(SCREEN + "\x1b[32mproof\x1b[0m\r\n")

    assert [scene.strip() for scene in scenes] == ["Critical Error Notice", "\x1b[32mproof\x1b[0m"]


def test_a_picture_shows_the_text_and_loads_nothing():
    svg = svg_of(["Critical\r\n", "\x1b[32mproof\x1b[0m\r\n"])

    assert ">Critical<" in svg
    assert ">proof<" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")


def test_without_a_browser_the_command_says_what_to_install(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-m", "tools.pictures", tmp_path],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr == (
        "The picture of the status page needs chromium. `make test-tools` installs it on Debian.\n"
    )
