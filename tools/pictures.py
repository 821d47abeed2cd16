"""Makes the pictures of README.md from real runs of `falcowatch demo`.

`python -m tools.pictures` runs the demo in a pseudo terminal. It writes docs/pictures/demo.svg, the screen of the demo
as rich draws it, and docs/pictures/status.png, a screenshot of the agent's status page that chromium takes meanwhile.
Then it runs `falcowatch demo --chaos` and writes docs/pictures/chaos.svg, an animation of that screen.
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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.text import Text

from tools import ROOT
from tools.film import REDRAWN, animated, moments_of, pages_of, sampled

PICTURES: Final = ROOT / "docs/pictures"
COLUMNS: Final = 100
LINES: Final = 40
FRAMES_BEFORE_THE_SCREENSHOT: Final = 14
PAGE_WIDTH: Final = 1040
PAGE_HEIGHT: Final = 800
PRIORITIES: Final = ("Critical", "Error", "Warning", "Notice", "Info")

FILM_LINES: Final = 30
FRAME_EVERY_SECONDS: Final = 1.0
"""Time between two frames of the film. Each is shown for a shorter time, so the film is faster than the run."""
FRAME_SECONDS: Final = 0.4
PAGE_SECONDS: Final = 6.0
"""How long the film shows each page of the end."""
MOST_FILM_BYTES: Final = 500_000

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
    with tempfile.TemporaryDirectory() as profile:
        photographer = Photographer(browser, folder / "status.png", profile)
        screen = "".join(text for _, text in record_demo([], photographer.watch))
        photographer.finish()
    (folder / "demo.svg").write_text(svg_of(scenes_of(screen)), encoding="utf-8")
    film = film_of(record_demo(["--chaos"]))
    if len(film.encode()) > MOST_FILM_BYTES:
        sys.stderr.write(f"The film has {len(film.encode())} bytes. Raise FRAME_EVERY_SECONDS in tools/pictures.py.\n")
        return 1
    (folder / "chaos.svg").write_text(film, encoding="utf-8")
    return 0


def film_of(chunks: Sequence[tuple[float, str]]) -> str:
    """The animation of a run: what the terminal showed once a second, and then the end, page by page."""
    *moments, (_, end) = moments_of(chunks)
    frames = [(FRAME_SECONDS, frame) for frame in sampled(moments[1:], FRAME_EVERY_SECONDS)]
    frames += [(PAGE_SECONDS, page) for page in pages_of(end, FILM_LINES)]
    return animated(frames, columns=COLUMNS, lines=FILM_LINES, title="falcowatch demo --chaos")


def scenes_of(screen: str) -> list[str]:
    """Two moments of a terminal's output: the frame of the run that shows most priorities, and the end."""
    *frames, end = [text for text in REDRAWN.split(screen) if text.strip()]
    second_half = frames[len(frames) // 2 :]
    return [max(second_half, key=lambda frame: sum(priority in frame for priority in PRIORITIES)), end]


def svg_of(scenes: Sequence[str]) -> str:
    """The scenes, one below the other, as one picture that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(Text("$ falcowatch demo", "bold"))
    for number, scene in enumerate(scenes):
        if number:
            console.print()
        console.print(Text.from_ansi(scene.replace("\r\n", "\n").strip("\n")))
    return FONT.sub("", console.export_svg(title="falcowatch demo", unique_id="demo"))


def record_demo(
    arguments: Sequence[str], watch: Callable[[str], None] = lambda screen: None
) -> list[tuple[float, str]]:
    """Runs the demo in a terminal. Returns what it wrote, in pieces, each with its second.

    `watch` is called after each piece, with all that was written so far.
    """
    terminal, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "demo", *arguments],
        stdout=other_end,
        stderr=other_end,
        env=environment,
        cwd=ROOT,
    )
    os.close(other_end)
    decode = codecs.getincrementaldecoder("utf-8")().decode
    chunks: list[tuple[float, str]] = []
    began = time.monotonic()
    screen = ""
    while chunk := _read(terminal):
        text = decode(chunk)
        chunks.append((time.monotonic() - began, text))
        screen += text
        watch(screen)
    os.close(terminal)
    if demo.wait():
        raise SystemExit(f"falcowatch demo exited with code {demo.returncode}:\n{screen}")
    return chunks


class Photographer:
    """Takes the screenshot of the agent's status page when the demo has drawn some frames."""

    def __init__(self, browser: str, picture: Path, profile: str) -> None:
        self._browser = browser
        self._picture = picture
        self._profile = profile
        self._screenshot: subprocess.Popen[bytes] | None = None

    def watch(self, screen: str) -> None:
        if self._screenshot is None and len(REDRAWN.findall(screen)) >= FRAMES_BEFORE_THE_SCREENSHOT:
            self._screenshot = _photograph(self._browser, _status_page(screen), self._picture, self._profile)

    def finish(self) -> None:
        if self._screenshot is None or self._screenshot.wait():
            raise SystemExit(f"{self._browser} took no screenshot of the status page")


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
