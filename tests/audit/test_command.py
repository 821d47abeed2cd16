"""`falcowatch audit` as a user runs it, against an embedded CloudWatch and against files."""

import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from agent.audit.arguments import AuditOptions
from agent.audit.command import audit
from agent.cli import main
from agent.errors import PutError
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings import Settings
from tests.audit.cloudwatch import GROUP, Clock, put
from tests.audit.history import START_MS, Node, kms_code
from tests.cloudwatch.clients import client_of

SECRET = b"the key of the tests"
HOUR_MS = 3_600_000


def ended(name: str = "node-1", *, seed: int = 0, secret: bytes = SECRET) -> Node:
    node = Node(name, seed=seed, secret=secret)
    for _ in range(3):
        node.write(5)
        node.read(5, resend=node.number == 1)
        node.seal()
    node.leave()
    return node


def times(node: Node) -> list[str]:
    return ["--from", stamp(START_MS - HOUR_MS), "--to", stamp(node.now_ms + HOUR_MS)]


def stamp(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()


async def run(*arguments: str) -> int:
    """In a thread, because the command has an event loop of its own and the endpoint needs this one."""
    return await asyncio.to_thread(main, ["audit", *arguments])


async def test_an_honest_group_is_proved(cloudwatch, clock: Clock, capsys):
    node, other = ended(), ended("node-2", seed=1)
    await put(cloudwatch, clock, node.events)
    await put(cloudwatch, clock, other.events)

    code = await run("--group", GROUP, *times(node))

    printed = capsys.readouterr()
    assert code == 0
    assert "Proved: nothing is missing, altered or forged." in printed.out
    row = next(line for line in printed.out.splitlines() if line.startswith("node-1"))
    assert row.split()[:2] == ["node-1", "proved"]
    assert " 15 " in row  # events
    assert " 5 " in row  # duplicates
    assert "node-2" in printed.out
    assert printed.err == ""


async def test_every_page_is_read_and_asked_for_again(cloudwatch: EmbeddedCloudWatch, clock: Clock, capsys):
    node = Node(secret=SECRET)
    for _ in range(40):
        node.write_each_shape()
        node.read(100)
        node.seal()
    node.leave()
    await put(cloudwatch, clock, node.events)
    cloudwatch.requests.clear()
    cloudwatch.faults.add(Fault("throttle", operation="FilterLogEvents", count=1))

    code = await run("--group", GROUP, *times(node), "--json")

    answer = json.loads(capsys.readouterr().out)
    assert code == answer["exit_code"] == 0
    assert answer["nodes"][0]["proved_events"] == 480
    assert cloudwatch.requests.count("FilterLogEvents", status=200) >= 3
    assert cloudwatch.requests.operations() == {"FilterLogEvents"}


async def test_a_deleted_stream_is_reported_with_its_files(cloudwatch: EmbeddedCloudWatch, clock: Clock, capsys):
    node = ended()
    await put(cloudwatch, clock, [event for event in node.events if not event.stream.endswith("/urgent")])

    code = await run("--group", GROUP, *times(node))

    printed = capsys.readouterr().out
    assert code == 1
    assert "Not proved." in printed
    assert "node-1: problem: count differs" in printed
    assert "missing: the seal states" in printed
    assert "stream node-1" in printed


async def test_only_one_node_is_audited(cloudwatch, clock: Clock, capsys):
    node, other = ended(), ended("node-2", seed=1)
    await put(cloudwatch, clock, node.events)
    await put(cloudwatch, clock, other.events[:-4])

    assert await run("--group", GROUP, *times(node), "--node", "node-1") == 0
    assert await run("--group", GROUP, *times(node), "--node", "node-2") == 1
    assert await run("--group", GROUP, *times(node), "--node", "node-3") == 3
    assert "Nothing to prove" in capsys.readouterr().out


async def test_a_node_may_be_spread_over_groups(cloudwatch, clock: Clock):
    node = ended()
    await put(cloudwatch, clock, [event for event in node.events if event.stream == "node-1"], "falco")
    await put(cloudwatch, clock, [event for event in node.events if event.stream != "node-1"], "other")

    assert await run("--group", "falco", *times(node)) == 1
    assert await run("--group", "falco", "--group", "other", *times(node)) == 0


async def test_the_key_file_checks_the_codes(cloudwatch, clock: Clock, tmp_path: Path):
    node = ended()
    await put(cloudwatch, clock, node.events)
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    (tmp_path / "wrong").write_bytes(b"another")

    assert await run("--group", GROUP, *times(node), "--key-file", str(tmp_path / "key")) == 0
    assert await run("--group", GROUP, *times(node), "--key-file", str(tmp_path / "wrong")) == 1


async def test_kms_verifies_the_seals(
    cloudwatch: EmbeddedCloudWatch, clock: Clock, capsys, monkeypatch: pytest.MonkeyPatch
):
    node = Node(sign=lambda message: kms_code("alias/seals", message))
    node.write(3)
    node.read(3)
    node.leave()
    await put(cloudwatch, clock, node.events)
    cloudwatch.requests.clear()
    cloudwatch.faults.add(Fault("throttle", operation="Verify", count=1))

    assert await run("--group", GROUP, *times(node), "--kms", "alias/seals") == 0
    assert cloudwatch.requests.count("Verify", status=200) == node.number
    monkeypatch.setenv("FALCOWATCH_SEAL__KMS_KEY_ID", "alias/seals")
    cloudwatch.requests.clear()
    assert await run("--group", GROUP, *times(node), "--kms") == 0
    assert cloudwatch.requests.count("Verify", status=200) == node.number
    capsys.readouterr()
    assert await run("--group", GROUP, *times(node), "--kms", "alias/other", "--json") == 1
    assert json.loads(capsys.readouterr().out)["nodes"][0]["counts"] == {"mac wrong": node.number}


async def test_a_seal_without_a_signature_is_missed_with_kms(cloudwatch: EmbeddedCloudWatch, clock: Clock, capsys):
    node = ended()
    await put(cloudwatch, clock, node.events)

    assert await run("--group", GROUP, *times(node), "--kms", "alias/seals", "--json") == 1
    assert json.loads(capsys.readouterr().out)["nodes"][0]["counts"]["mac missing"] == node.number


async def test_a_denied_verification_ends_the_audit(cloudwatch: EmbeddedCloudWatch, clock: Clock, capsys):
    node = Node(sign=lambda message: kms_code("alias/seals", message))
    node.leave()
    await put(cloudwatch, clock, node.events)
    cloudwatch.faults.add(Fault("denied", operation="Verify"))

    assert await run("--group", GROUP, *times(node), "--kms", "alias/seals") == 1
    assert "Verify for KMS key alias/seals: AccessDeniedException" in capsys.readouterr().err


async def test_kms_without_any_key_ends_with_2(cloudwatch, clock: Clock, capsys):
    node = ended()
    await put(cloudwatch, clock, node.events)

    assert await run("--group", GROUP, *times(node), "--kms") == 2
    assert "--kms needs a key" in capsys.readouterr().err


async def test_files_are_audited_without_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.delenv("AWS_REGION")
    node = ended()
    events = [
        {"logStreamName": one.stream, "timestamp": one.time_ms, "ingestionTime": one.ingested_ms,
         "message": one.message.decode()}
        for one in node.events
    ]  # fmt: skip
    (tmp_path / "events.json").write_text(json.dumps({"events": events}))

    assert await run("--events", str(tmp_path / "events.json")) == 0
    events.pop(14)
    (tmp_path / "events.json").write_text(json.dumps({"events": events}))
    assert await run("--events", str(tmp_path / "events.json")) == 1


async def test_a_running_node_is_proved_as_far_as_the_data_goes(cloudwatch, clock: Clock, capsys):
    node = Node()
    node.write(3)
    node.read(3)
    node.seal()
    await put(cloudwatch, clock, node.events)

    code = await run("--group", GROUP, "--from", stamp(START_MS - HOUR_MS), "--to", stamp(node.now_ms + 60_000))

    printed = capsys.readouterr().out
    assert code == 3
    assert "Proved as far as the data goes." in printed
    assert "node-1: open: node running" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "pass either --group"),
        (["--group", "g", "--events", "f"], "pass either --group"),
        (["--group", "g", "--since", "1h", "--from", "2026-11-28T00:00Z"], "either --since or --from"),
        (["--group", "g", "--from", "2026-11-28T00:00Z", "--to", "2026-11-27T00:00Z"], "earlier than --to"),
    ],
)
async def test_arguments_that_do_not_fit_end_with_2(arguments: list[str], sentence: str, capsys):
    assert await run(*arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--since", "soon"], ["--since", "0h"], ["--from", "noon"], ["--key-file", "a", "--kms", "b"]]
)
async def test_arguments_that_cannot_be_parsed_end_with_2(arguments: list[str]):
    with pytest.raises(SystemExit) as caught:
        await run("--group", "g", *arguments)

    assert caught.value.code == 2


async def test_a_group_that_does_not_exist_is_named(cloudwatch, capsys):
    assert await run("--group", "nothing") == 1
    assert "FilterLogEvents for nothing: ResourceNotFoundException" in capsys.readouterr().err


async def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, capsys):
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "events").write_bytes(b"")

    assert await run("--events", str(tmp_path / "events"), "--key-file", str(tmp_path / "none")) == 1
    assert await run("--events", str(tmp_path / "events"), "--key-file", str(tmp_path / "empty")) == 1
    errors = capsys.readouterr().err
    assert "the key cannot be read" in errors
    assert "the key is empty" in errors


async def test_a_directory_for_the_events_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "events").write_bytes(b"")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))

    assert await run("--events", str(tmp_path / "events")) == 1
    assert "nothing: the events cannot be kept there" in capsys.readouterr().err


async def test_the_bar_is_drawn_on_a_terminal_only(tmp_path: Path):
    node = ended()
    line = b'{"timestamp":1,"message":"x"}\n'
    (tmp_path / "events").write_bytes(line * 5000)
    terminal = Console(force_terminal=True, width=80, record=True)

    await audit(AuditOptions(files=(tmp_path / "events",)), Settings(), terminal)

    assert "reading events" in terminal.export_text()
    assert node.number == 5


async def test_a_denied_page_ends_the_audit(cloudwatch: EmbeddedCloudWatch):
    cloudwatch.faults.add(Fault("denied", operation="FilterLogEvents"))
    settings = Settings.model_validate({"cloudwatch": {"endpoint_url": cloudwatch.url}})

    with pytest.raises(PutError, match="AccessDenied"):
        await audit(AuditOptions(groups=(GROUP,)), settings, Console(quiet=True))

    async with client_of(cloudwatch) as client:
        with pytest.raises(PutError):
            await client.filter_page(GROUP, 0, 1, None)
