"""A small verifier, written from docs/proof.md alone: what the audit of the agent says has to agree with it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

END = re.compile(r',"falcowatch":\{"id":"([^":]+):([0-9]+)"[^\n]*\}\}')


def problems(messages: Iterable[str], *, running: bool = False) -> list[str]:
    """Why the messages of one node are not proved; empty if they are.

    `running`: the node has not sealed its newest events yet, so events behind the last statement of a file are right.
    """
    seals: dict[str, dict[int, tuple[str, dict[str, Any]]]] = defaultdict(dict)
    events: dict[str, dict[int, bytes]] = defaultdict(dict)
    found: list[str] = []
    for message in messages:
        event = json.loads(message)
        if "seal" in event:
            seal = event["seal"]
            known = seals[seal["chain"]].setdefault(seal["number"], (message, seal))
            if known[0] != message:
                found.append(f"two seals {seal['number']}")
            continue
        split = canonical(message)
        if split is None:
            continue
        file, offset, text = split
        if events[file].setdefault(offset, text) != text:
            found.append(f"{file}:{offset} has two contents")
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for chain in seals.values():
        previous = ""
        for number in range(1, max(chain) + 1):
            if number not in chain:
                found.append(f"seal {number} is missing")
                break
            message, seal = chain[number]
            if seal["previous"] != previous:
                found.append(f"seal {number} does not follow on the one before")
            previous = sha256(message.encode()).hexdigest()
            for statement in seal["files"]:
                statements[statement["file"]].append(statement)
    for file in {*statements, *events}:
        found += _of_file(file, statements[file], events[file], running=running)
    return found


def canonical(message: str) -> tuple[str, int, bytes] | None:
    """File, offset and canonical bytes of an event that was made from a record."""
    at = message.rfind(',"falcowatch":')
    end = END.fullmatch(message, at) if at >= 0 else None
    if end is None:
        return None
    own = json.loads("{" + message[at + 1 :])["falcowatch"]
    text = message[:at]
    pod = text.rfind(',"kubernetes":{')
    if pod >= 0:
        try:
            appended = json.loads("{" + message[pod + 1 :])
        except ValueError:
            appended = {}
        if set(appended) == {"kubernetes", "falcowatch"}:
            text = text[:pod]
    written = json.loads(text + "}")
    if "truncated" in written and text.endswith('"}') and '"truncated":{"size":' in text[-120:]:
        return end[1], int(end[2]), b"sha256:" + written["truncated"]["sha256"].encode()
    if "defect" in own:
        if written["size"] > 65536:
            return end[1], int(end[2]), b"sha256:" + own["sha256"].encode()
        return end[1], int(end[2]), _hashed(written["log"].encode().rstrip())
    if [*written][:2] == ["log", "stream"] and "rule" not in written:
        return end[1], int(end[2]), _hashed(written["log"].encode().rstrip())
    return end[1], int(end[2]), _hashed((text + "}").encode())


def _hashed(text: bytes) -> bytes:
    return text if len(text) <= 65536 else b"sha256:" + sha256(text).hexdigest().encode()


def _of_file(file: str, statements: list[dict[str, Any]], events: dict[int, bytes], *, running: bool) -> list[str]:
    found = []
    covered = [(start, end) for one in statements for start, end, _ in one["gaps"]]
    last_gap = max((start for start, _ in covered), default=None)
    if last_gap is not None and all(one["to"] <= last_gap for one in statements):
        covered.append((last_gap, max([last_gap, *events]) + 1))
    for one in statements:
        start, end = one["from"], one["to"]
        covered.append((start, end))
        rejected = {int(record.rpartition(":")[2]) for record in one["rejected"]}
        present = sorted(offset for offset in events if start <= offset < end)
        if rejected or one["sha256"] is None:
            if len({*present} - rejected) != one["shipped"] - len(rejected):
                found.append(f"{file} [{start}, {end}): {len(present)} of {one['shipped']} by count")
            continue
        digest = sha256(b"".join(events[offset] + b"\n" for offset in present)).hexdigest()
        if len(present) != one["shipped"] or digest != one["sha256"]:
            found.append(f"{file} [{start}, {end}): {len(present)} of {one['shipped']}")
    reached: int | None = None
    for start, end in sorted(covered):
        if reached is not None and start > reached:
            found.append(f"{file}: nothing is stated of [{reached}, {start})")
        reached = max(end, reached or 0)
    judged = [offset for offset in events if not (running and offset >= (reached or 0))]
    found += [f"{file}:{offset} is in no segment" for offset in judged if not any(a <= offset < b for a, b in covered)]
    return found
