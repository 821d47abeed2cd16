"""`falcowatch audit --accept-running`: which open points an audit on a schedule accepts, and which it never does."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from agent.audit.findings import Findings
from agent.audit.kinds import EXPECTED_OF_RUNNING_NODES, Kind, Weight
from agent.audit.report import AuditResult
from agent.audit.verify import NodeResult
from agent.cli import main
from tests.audit.cloudwatch import GROUP, put
from tests.audit.history import START_MS, Node
from tests.audit.test_command import HOUR_MS, stamp
from tools import ROOT


def result_with(kind: Kind, *, seals: int = 1) -> AuditResult:
    findings = Findings("node-1")
    findings.add(kind, "seal 1")
    node = NodeResult("node-1", findings, seals=seals)
    return AuditResult(["g"], 0, 1, [node], 1, 0, accept_running=True)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in EXPECTED_OF_RUNNING_NODES])
def test_the_edges_of_the_chosen_time_are_accepted(kind: Kind):
    assert kind.weight is Weight.OPEN
    assert result_with(kind).exit_code == 0


@pytest.mark.parametrize("kind", [Kind.UNDECIDED, Kind.TOO_MANY_REJECTED])
def test_an_open_point_that_no_later_seal_decides_is_not_accepted(kind: Kind):
    assert result_with(kind).exit_code == 3


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.weight is Weight.PROBLEM], ids=lambda kind: kind.title)
def test_no_problem_is_accepted(kind: Kind):
    assert result_with(kind).exit_code == 1


def test_a_group_without_a_seal_is_not_accepted():
    assert result_with(Kind.BEFORE_THE_SEALS, seals=0).exit_code == 3
    assert AuditResult(["g"], 0, 1, [], 0, 0, accept_running=True).exit_code == 3


async def test_the_command_ends_with_0_for_a_running_node_and_still_shows_what_is_open(cloudwatch, clock, capsys):
    node = Node()
    for _ in range(2):
        node.write(3)
        node.read(3)
        node.seal()
    await put(cloudwatch, clock, node.events)
    window = ["--from", stamp(START_MS - HOUR_MS), "--to", stamp(node.now_ms + 60_000), "--accept-running"]

    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    assert code == 0
    assert "node-1: open: node running" in capsys.readouterr().out


async def test_the_command_still_ends_with_1_for_a_deleted_event(cloudwatch, clock, capsys):
    node = Node()
    for _ in range(2):
        node.write(3)
        node.read(3)
        node.seal()
    (lost, *_) = [event for event in node.events if b"heartbeat" not in event.message]
    await put(cloudwatch, clock, [event for event in node.events if event is not lost])
    window = ["--from", stamp(START_MS - HOUR_MS), "--to", stamp(node.now_ms + 60_000), "--accept-running", "--json"]

    code = await asyncio.to_thread(main, ["audit", "--group", GROUP, *window])

    assert code == json.loads(capsys.readouterr().out)["exit_code"] == 1


def test_the_page_about_the_proof_explains_every_finding():
    page = (ROOT / "docs/proof.md").read_text()

    assert [kind.title for kind in Kind if f"`{kind.title}`" not in page] == []


def test_the_page_about_the_proof_lists_what_is_accepted():
    page = (ROOT / "docs/proof.md").read_text()
    (sentence,) = re.findall(r"chosen time are open: (.*?)\. Without", page, re.DOTALL)

    assert set(re.findall(r"`([^`]+)`", sentence)) == {kind.title for kind in EXPECTED_OF_RUNNING_NODES}
