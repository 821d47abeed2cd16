"""Opens a log file for reading: safely, and with the right decompression."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.tail.compressed import CompressedBytes
from agent.tail.content import LogBytes, PlainBytes
from agent.tail.descriptors import check_reserve
from agent.tail.safe_open import open_beneath


def open_log(root: Path, relative: Sequence[str], allowed: Sequence[Path], compression: str) -> LogBytes:
    """Opens a log file below `root`. Raises as `open_beneath` does, and OutOfDescriptors."""
    descriptor = open_beneath(root, relative, allowed)
    try:
        check_reserve(descriptor)
        path = root.joinpath(*relative)
        return CompressedBytes(descriptor, path, compression) if compression else PlainBytes(descriptor)
    except OSError:
        os.close(descriptor)
        raise
