"""The embedded CloudWatch Logs as a process: `python -m agent.local.emulator --port 0 --data DIR`.

It serves until SIGINT or SIGTERM. The first line it prints is `listening on URL`.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import orjson

from agent.errors import FalcowatchError
from agent.local.emulator.embedded import serve
from agent.local.emulator.faults import Faults, fault_of


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agent.local.emulator",
        description="A CloudWatch Logs endpoint for demos and tests. It checks requests as AWS does.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free port (default)")
    parser.add_argument("--data", type=Path, help="directory that keeps the events (default: temporary)")
    parser.add_argument("--sequence-tokens", action="store_true", help="require them, as AWS did before 2023")
    parser.add_argument("--discard", action="store_true", help="check and count events, but store none")
    parser.add_argument("--tls", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"), help="serve HTTPS")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='such as {"kind": "throttle"}; repeatable',
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for faults with a probability (default: 0)")
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
        print(f"--fault is not valid JSON: {error}", file=sys.stderr)
        return 1
    except (FalcowatchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
