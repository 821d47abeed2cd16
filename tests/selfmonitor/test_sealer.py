"""Seals: what they state, when they are sent, and how their chain begins."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.app import Agent
from agent.core.proof.seal import LARGEST_FILES_BYTES, Chain, FileStatement, SealState, first_key, mac_of, without_mac
from agent.core.proof.segment import Statement
from agent.core.values import Lane
from agent.errors import SealKeyUnreadable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.selfmonitor.chain import chain_of
from agent.selfmonitor.events import OwnEvent
from agent.settings import Seal
from agent.tail.checkpoint import Restored
from agent.tail.types import Gap
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, acknowledge_everything, built, own_events, running, until

HEARTBEAT = OwnEvent("heartbeat", "Informational", "read 0", {}, Lane.ROUTINE)


async def saved() -> bool:
    return True


async def not_saved() -> bool:
    return False


def seals(agent: Agent) -> list[dict[str, Any]]:
    return [event["seal"] for event in own_events(agent) if "seal" in event]


async def test_a_seal_is_in_the_checkpoint_before_it_is_sent(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        at_save: list[tuple[int, Sequence[str], int]] = []

        async def save() -> bool:
            pending = [event.id for event in agent.parts.outbox.pending]
            at_save.append((sealer.state().chain.number, pending, len(own_events(agent))))
            return True

        await sealer.seal(HEARTBEAT, save)

        [(number, [event_id], sent)] = at_save
        assert (number, sent) == (1, 0)
        assert event_id.startswith("self:seal:")
        assert [seal["number"] for seal in seals(agent)] == [1]


async def test_while_the_checkpoint_cannot_be_written_heartbeats_have_no_seal_and_the_next_one_names_them(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        await sealer.seal(HEARTBEAT, not_saved)
        await sealer.seal(HEARTBEAT, not_saved)
        plain = [event["falcowatch"]["id"] for event in own_events(agent)]
        assert seals(agent) == []
        assert len(plain) == 2

        await sealer.seal(HEARTBEAT, saved)
        acknowledge_everything(agent)
        await sealer.seal(HEARTBEAT, saved)

        first, second = seals(agent)
        assert (first["number"], second["number"]) == (1, 2)
        assert second["unsealed"] == plain


async def test_no_new_seal_is_made_before_the_last_one_is_acknowledged_except_to_leave(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        assert await sealer.seal(HEARTBEAT, saved)
        assert not await sealer.seal(HEARTBEAT, saved)
        assert len(seals(agent)) == 1

        await sealer.seal(HEARTBEAT, saved, leaving=True)

        assert [seal.get("leaving") for seal in seals(agent)] == [None, True]


async def test_a_seal_that_cloudwatch_rejects_is_sent_again_so_that_the_chain_has_no_hole(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch() as cloudwatch, built(tmp_path, cloudwatch.url, heartbeat_seconds=60) as agent:
        sealer, outbox = agent.parts.sealer, agent.parts.outbox
        assert sealer is not None
        cloudwatch.faults.add(Fault("rejected_index_too_large", operation="PutLogEvents"))
        async with running(agent.parts.shipper.run()):
            await sealer.seal(HEARTBEAT, saved)
            await agent.parts.shipper.drain()
            [event_id] = [event.id for event in outbox.pending]
            cloudwatch.faults.clear()

            assert not await sealer.seal(HEARTBEAT, saved)
            await until(lambda: event_id not in outbox)
            await sealer.seal(HEARTBEAT, saved)
            await agent.parts.shipper.drain()

        assert [seal["number"] for seal in seals(agent)] == [1, 1, 2]
        stored = [orjson.loads(event.message)["seal"]["number"] for event in cloudwatch.events("/falco/here")]
        assert stored == [1, 2]
        assert not list((tmp_path / "state").rglob("*.jsonl"))


async def test_an_agent_that_leaves_says_so_also_after_a_seal_that_could_not_be_saved(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        await sealer.seal(HEARTBEAT, not_saved)

        assert await sealer.seal(HEARTBEAT, saved, leaving=True)

        assert [(seal["number"], seal.get("leaving")) for seal in seals(agent)] == [(1, None), (2, True)]


async def test_a_gap_is_stated_once(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        agent.parts.reading.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))
        await sealer.seal(HEARTBEAT, saved)
        acknowledge_everything(agent)
        await sealer.seal(HEARTBEAT, saved)

        first, second = seals(agent)
        assert [(file["file"], file["from"], file["to"], file["gaps"]) for file in first["files"]] == [
            ("f00", 10, 10, [[10, 30, "deleted"]])
        ]
        assert second["files"] == []


async def test_statements_that_are_too_many_for_one_seal_follow_in_the_next(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        sealer = agent.parts.sealer
        assert sealer is not None
        for number in range(2000):
            agent.parts.reading.finished.append(Statement(f"file-{number}", 0, 10, 1, {}, (), "0" * 64))
        total = sum(len(statement) for statement in sealer.state().files)

        while sealer.due.is_set() or not seals(agent):
            await sealer.seal(HEARTBEAT, saved)
            acknowledge_everything(agent)

        stated = [file["file"] for seal in seals(agent) for file in seal["files"]]
        assert total > LARGEST_FILES_BYTES
        assert stated == [f"file-{number}" for number in range(2000)]
        assert max(len(orjson.dumps(seal["files"])) for seal in seals(agent)) <= LARGEST_FILES_BYTES + 2


async def test_what_the_last_run_could_not_seal_is_in_the_first_seal(tmp_path: Path) -> None:
    statement = FileStatement(Statement("f", 0, 10, 1, {}, (), "ab")).encoded()
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        assert agent.parts.sealer is not None
        agent.parts.sealer._kept.append(statement)
        await agent.progress.save()

    async with built(tmp_path, NOWHERE, heartbeat_seconds=60) as agent:
        assert agent.parts.sealer is not None
        await agent.parts.sealer.seal(HEARTBEAT, saved)
        assert seals(agent)[0]["files"] == [orjson.loads(statement) | {"since": 1}]


async def test_with_a_secret_each_seal_carries_a_code_and_the_secret_is_read_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"32 random bytes\n")
    changes = {"heartbeat_seconds": 60, "seal": {"key_file": str(secret)}}
    async with built(tmp_path, NOWHERE, **changes) as agent:
        assert agent.parts.sealer is not None
        await agent.parts.sealer.seal(HEARTBEAT, saved)
        await agent.progress.save()
        [event] = [event.message.encode() for event in agent.parts.outbox.pending]
    sealed = orjson.loads(event)["seal"]
    assert sealed["mac"] == mac_of(without_mac(event), first_key(b"32 random bytes", sealed["chain"]))

    secret.unlink()
    async with built(tmp_path, NOWHERE, **changes) as agent:
        assert agent.parts.sealer is not None
        await agent.parts.sealer.seal(HEARTBEAT, saved, leaving=True)
        assert [seal["number"] for seal in seals(agent)] == [2]


async def test_seals_can_be_switched_off(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, heartbeat_seconds=60, seal={"enabled": False}) as agent:
        assert agent.parts.sealer is None
        await agent._send_heartbeat(HEARTBEAT, leaving=False)

        assert ["seal" in event for event in own_events(agent)] == [False]


async def test_without_seals_nothing_is_kept_for_them(tmp_path: Path) -> None:
    log = container(tmp_path) / "0.log"
    append(log, *(cri(alert(number)) for number in range(10)))
    async with (
        EmbeddedCloudWatch() as cloudwatch,
        built(tmp_path, cloudwatch.url, heartbeat_seconds=60, seal={"enabled": False}) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 10)
        [file] = agent.parts.reader.files
        await until(lambda: file.ledger.committed == log.stat().st_size)

        assert agent.parts.reader.statements() == []
        assert not file.digest.is_computed


@pytest.mark.parametrize(
    ("restored", "begins"),
    [
        (Restored({}, first_start=True), "first start"),
        (Restored({}, first_start=False), "no seal before"),
        (Restored({}, first_start=False, progress_lost="checkpoint.json.corrupt-1"), "state lost"),
        (
            Restored({}, first_start=False, seal=SealState(Chain("a", 4)), is_older_copy=True),
            "state restored from an older copy",
        ),
    ],
)
def test_a_new_chain_says_why_it_begins(restored: Restored, begins: str) -> None:
    chain = chain_of(Seal(), restored)

    assert (chain.number, chain.previous, chain.begins) == (0, "", begins)
    assert len(chain.id) == 16


def test_a_known_chain_goes_on(tmp_path: Path) -> None:
    known = Chain("a", 4, "ab", "first start")
    restored = Restored({}, first_start=False, seal=SealState(known))
    assert chain_of(Seal(), restored) == known

    secret = tmp_path / "secret"
    secret.write_text("s")
    assert chain_of(Seal(key_file=secret), restored).begins == "key set"


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_a_secret_that_cannot_be_used_is_a_sentence_that_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)

    with pytest.raises(SealKeyUnreadable, match=str(secret)):
        chain_of(Seal(key_file=secret), Restored({}, first_start=True))
