"""The embedded CloudWatch as a process of its own: `python -m agent.local.emulator --port 0 --data DIR`."""

import argparse
import asyncio
import sys
from pathlib import Path

import orjson

from agent.errors import FalcowatchError
from agent.local.emulator.embedded import serve
from agent.local.emulator.faults import Faults, fault_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.local.emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--data", type=Path, help="keep events here; without it they are removed at the end")
    parser.add_argument("--sequence-tokens", action="store_true", help="enforce them, as AWS did before 2023")
    parser.add_argument("--discard", action="store_true", help="validate and count events, store none")
    parser.add_argument("--tls", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--fault", action="append", default=[], metavar="JSON", help="a fault to start with")
    parser.add_argument("--seed", type=int, default=0, help="of faults with a probability")
    given = parser.parse_args()
    try:
        faults = Faults([fault_of(orjson.loads(text)) for text in given.fault], seed=given.seed)
        asyncio.run(
            serve(
                given.host,
                given.port,
                given.data,
                sequence_tokens=given.sequence_tokens,
                discard=given.discard,
                tls=None if given.tls is None else (given.tls[0], given.tls[1]),
                faults=faults,
            )
        )
    except orjson.JSONDecodeError as error:
        print(f"--fault: not JSON: {error}", file=sys.stderr)
        return 1
    except (FalcowatchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
