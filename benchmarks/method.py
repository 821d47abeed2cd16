"""The page about the method: how to read the numbers, how to run the programs, and what each peer does."""

from __future__ import annotations

from typing import Final

from benchmarks.known_peers import KNOWN_PEERS

HOW_TO_READ: Final = """\
# How the benchmarks are measured

This page is for engineers who check the benchmarks or repeat them. [Benchmarks](benchmarks.md) has the results.

## How to read the numbers

- Times in seconds and milliseconds differ between machines, and between runs on a machine that also does other work.
  Compare ratios within one run: with another log shipper on the same file and the same sink, with the baseline, or
  between a small load and a large one.
- The agent is always the real program, in a separate process and with its default settings: compressed requests and
  seals. A row with another setting says so in its name.
- The start of the process counts too, so a run with fewer alerts shows a higher cost for each.
- The alerts are captured ones. Each names one of 110 pods and has a time of its own.
- CloudWatch is replaced by a sink on loopback that only counts (`benchmarks/sink.py`), so the numbers include neither a
  network nor AWS.
- The baseline (`benchmarks/baseline.py`) is a minimal loop over the same bytes: read, decode, encode, hash, send.
  It gives no guarantees and does not compress. It shows how much of the agent's cost is the work itself, and it is
  measured again in each run.
- "Load before" is the number of processes that wanted a core when the program began. On an idle machine it is near 0.

## When each program ran
"""
HOW_TO_RUN: Final = """\
## How to run the programs

`make benchmarks` runs all programs and writes these pages; `python -m benchmarks.<name>` runs one program and prints a
table. Each writes its numbers to `benchmarks/results/`. With `--quick` a program runs for a few seconds, only to test
that it works, and stores nothing.

`make benchmarks PEERS='tenzir syslog-ng'` installs these log shippers into `.tools/peers` and measures them too.
Fluent Bit is in neither PyPI nor Debian: build it, then pass `PEERS=fluent-bit PEER_FLUENT_BIT=/path/to/fluent-bit`.
`PEER='--peer NAME=COMMAND'` measures any other log shipper; its configuration finds the variables LOGS, STATE, HOST and
PORT in its environment.

A run that has not measured a peer leaves the older result of this peer beside its own, and the comparison uses it.

## What the other log shippers do

Their configurations are in `benchmarks/peers`. Each log shipper retries without a limit, if its configuration allows
that.
"""


def method_page(measured: str, sections: str) -> str:
    """The text of the page. `measured`: the table of all programs. `sections`: the reports that belong to this page."""
    peers = "\n".join(f"- {known.note}." for known in KNOWN_PEERS)
    return "\n".join([HOW_TO_READ, measured, HOW_TO_RUN, peers, "", sections])
