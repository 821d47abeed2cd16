"""Makes the pictures of README.md from a real run of `falcowatch demo`.

`python -m tools.pictures` runs the demo in a pseudo terminal. It writes docs/pictures/demo.svg, the screen of the demo
as rich draws it, and docs/pictures/status.png, a screenshot of the agent's status page that chromium takes meanwhile.
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.text import Text

from tools import ROOT

PICTURES: Final = ROOT / "docs/pictures"
COLUMNS: Final = 100
LINES: Final = 40
FRAMES_BEFORE_THE_SCREENSHOT: Final = 14
PAGE_WIDTH: Final = 1040
PAGE_HEIGHT: Final = 800
PRIORITIES: Final = ("Critical", "Error", "Warning", "Notice", "Info")

REDRAWN: Final = re.compile(r"\r(?:\x1b\[2K)?(?:\x1b\[1A\x1b\[2K)+")
"""What rich writes before it draws a frame over the last one."""
FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""rich names a font on another host. A picture must load nothing, and GitHub would not load it."""
URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0]) if arguments else PICTURES
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("The picture of the status page needs chromium. `make test-tools` installs it on Debian.\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    screen = record_demo(browser, folder / "status.png")
    (folder / "demo.svg").write_text(svg_of(scenes_of(screen)), encoding="utf-8")
    return 0


def scenes_of(screen: str) -> list[str]:
    """Two moments of a terminal's output: the frame of the run that shows most priorities, and the end."""
    *frames, end = [text for text in REDRAWN.split(screen) if text.strip()]
    second_half = frames[len(frames) // 2 :]
    return [max(second_half, key=lambda frame: sum(priority in frame for priority in PRIORITIES)), end]


def svg_of(scenes: Sequence[str]) -> str:
    """The scenes, one below the other, as one picture that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(Text("$ falcowatch demo", "bold"))
    for scene in scenes:
        console.print(Text.from_ansi(scene.replace("\r\n", "\n").strip("\n")))
    return FONT.sub("", console.export_svg(title="falcowatch demo", unique_id="demo"))


def record_demo(browser: str, picture: Path) -> str:
    """Runs the demo in a terminal and returns what it wrote. Photographs the agent's status page during the run."""
    terminal, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "demo"], stdout=other_end, stderr=other_end, env=environment, cwd=ROOT
    )
    os.close(other_end)
    decode = codecs.getincrementaldecoder("utf-8")().decode
    screen, screenshot = "", None
    with tempfile.TemporaryDirectory() as profile:
        while chunk := _read(terminal):
            screen += decode(chunk)
            if screenshot is None and len(REDRAWN.findall(screen)) >= FRAMES_BEFORE_THE_SCREENSHOT:
                screenshot = _photograph(browser, _status_page(screen), picture, profile)
        os.close(terminal)
        if screenshot is None or screenshot.wait():
            raise SystemExit(f"{browser} took no screenshot of the status page")
    if demo.wait():
        raise SystemExit(f"falcowatch demo exited with code {demo.returncode}:\n{screen}")
    return screen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux reports EIO when the last process has closed the other end
        return b""


def _status_page(screen: str) -> str:
    """The URL of the agent: of those on the screen, the one whose /healthz answers."""
    for url in dict.fromkeys(URL.findall(screen)):
        try:
            with urlopen(f"{url}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return f"{url}/"
        except URLError:
            continue
    raise SystemExit("the demo did not print the URL of the status page")


def _photograph(browser: str, url: str, picture: Path, profile: str) -> subprocess.Popen[bytes]:
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
        f"--window-size={PAGE_WIDTH},{PAGE_HEIGHT}",
        f"--screenshot={picture.resolve()}",
        url,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
