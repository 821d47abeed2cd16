"""Hostile lines again, where the ones that reach new code are kept and changed further: guided by coverage.

`make fuzz SECONDS=600` installs atheris (libFuzzer for Python), begins with what a real Falco and real runtimes wrote,
and holds of each file what `tests.faults.fuzz` holds. What fails is left as `crash-…`; give its path to play it again.
"""

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agent.core"]):
    from tests.faults import fuzz

MOST_BYTES = 16 * 1024
"""Of a file: a line longer than a runtime's part, and some beside it."""


def play(data: bytes) -> None:
    """The first bytes choose how the rest is cut; the rest is a file."""
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
