"""Hostile lines, guided by coverage: lines that reach new code are kept and changed further.

`make fuzz SECONDS=600` installs atheris (libFuzzer for Python). It begins with lines of a real Falco and of real
runtimes, and checks the same promises as `tests.faults.fuzz`. An input that fails is written to a file `crash-…`; give
the path of that file to try it again.
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agent.core"]):
    from tests.faults import fuzz

MOST_BYTES = 16 * 1024
"""The size of a file: enough for a line that a runtime writes in parts, and some lines more."""


def play(data: bytes) -> None:
    """The first four bytes choose the chunks; the rest is the file."""
    chance = random.Random(data[:4])
    fuzz.play(data[4:].split(b"\n"), chance, fuzz.Result())


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="falcowatch-fuzz-") as directory:
        for number, line in enumerate(fuzz.corpus()):
            Path(directory, str(number)).write_bytes(b"seed" + line[: MOST_BYTES - 4])
        atheris.Setup([sys.argv[0], f"-max_len={MOST_BYTES}", directory, *sys.argv[1:]], play)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
