"""Falco's messages about itself become metrics: captured messages of 0.40 and 0.44, and odd ones."""

from pathlib import Path

import orjson
import pytest

from agent.core.processing.alert import DROP_NOTICE, METRICS_SNAPSHOT
from agent.selfmonitor.notices import Notices
from agent.telemetry import Telemetry

DATA = Path(__file__).parent.parent / "data" / "falco"


def captured(name: str) -> list[bytes]:
    return (DATA / f"{name}-internal.jsonl").read_bytes().splitlines()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("0")


def rules_info(telemetry: Telemetry) -> dict[str, str]:
    """The labels of the only series."""
    [labels] = [dict(labels) for (name, labels), one in telemetry.snapshot().samples.items()
                if name == "falco_rules_loaded_info" and one == 1]  # fmt: skip
    return labels


def snapshot(**fields: object) -> bytes:
    dotted = {name.replace("__", "."): value for name, value in fields.items()}
    return orjson.dumps({"rule": METRICS_SNAPSHOT, "output_fields": dotted})


def drops(number: object) -> bytes:
    return orjson.dumps({"rule": DROP_NOTICE, "output_fields": {"n_drops": number}})


@pytest.mark.parametrize("version", ["0.40.0", "0.44.1"])
def test_captured_drop_notices_add_up(telemetry: Telemetry, version: str) -> None:
    lines = captured(f"{version}-drops")

    Notices(telemetry).read(lines)

    dropped = sum(int(orjson.loads(line)["output_fields"]["n_drops"]) for line in lines)
    assert dropped > 1_000_000
    assert telemetry.value("falco_syscall_drops_total") == dropped


@pytest.mark.parametrize(("version", "events", "notices"), [("0.40.0", 113_639, 14), ("0.44.1", 7_973, 15)])
def test_captured_snapshots_give_events_version_and_rules(
    telemetry: Telemetry, version: str, events: int, notices: int
) -> None:
    reader = Notices(telemetry)

    reader.read(captured(f"{version}-metrics"))

    assert reader.version == version
    assert len(reader.rules) == 4
    assert all(len(digest) == 64 for digest in reader.rules.values())
    assert telemetry.value("falco_events_total") == events
    assert telemetry.value("falco_output_drops") == 0
    assert telemetry.value("falco_syscall_drops_total") == notices
    labels = rules_info(telemetry)
    assert labels["version"] == version
    assert f"falco_rules_yaml:{reader.rules['falco_rules_yaml'][:12]}" in labels["rules"].split(",")


def test_changed_rules_replace_the_rules_before(telemetry: Telemetry) -> None:
    reader = Notices(telemetry)

    reader.read([snapshot(**{"falco.version": "0.40.0", "falco.sha256_rules_file.a_yaml": "1" * 64})])
    reader.read([snapshot(**{"falco.version": "0.44.1", "falco.sha256_rules_file.b_yaml": "2" * 64})])

    assert rules_info(telemetry) == {"version": "0.44.1", "rules": "b_yaml:222222222222"}


def test_several_sources_of_events_add_up_and_their_common_queue_counts_once(telemetry: Telemetry) -> None:
    Notices(telemetry).read(
        [
            snapshot(evt__source="syscall", scap__n_evts=100, falco__num_evts=90, falco__outputs_queue_num_drops=2),
            snapshot(evt__source="k8s_audit", falco__num_evts=7, falco__outputs_queue_num_drops=3),
            snapshot(evt__source="syscall", scap__n_evts=150, falco__num_evts=140, falco__outputs_queue_num_drops=3),
        ]
    )

    assert telemetry.value("falco_events_total") == 157
    assert telemetry.value("falco_output_drops") == 3


def test_drops_in_notices_and_by_snapshots_count_once(telemetry: Telemetry) -> None:
    reader = Notices(telemetry)
    reader.read([drops("40")])
    reader.read([snapshot(scap__n_drops=100, scap__n_drops_prev=30, falco__start_ts=1)])
    assert telemetry.value("falco_syscall_drops_total") == 70

    reader.read([drops("10"), drops("10")])
    assert telemetry.value("falco_syscall_drops_total") == 70

    reader.read([drops("50")])
    assert telemetry.value("falco_syscall_drops_total") == 110


def test_drops_before_the_agent_started_do_not_count_and_a_new_falco_begins_at_zero(telemetry: Telemetry) -> None:
    reader = Notices(telemetry)

    reader.read([snapshot(scap__n_drops=1000, scap__n_drops_prev=1000, falco__start_ts=1)])
    reader.read([snapshot(scap__n_drops=1005, scap__n_drops_prev=1000, falco__start_ts=1)])
    reader.read([snapshot(scap__n_drops=7, scap__n_drops_prev=0, falco__start_ts=2)])

    assert telemetry.value("falco_syscall_drops_total") == 12


def test_two_falcos_whose_snapshots_alternate_count_each_drop_once(telemetry: Telemetry) -> None:
    reader = Notices(telemetry)

    for total in (1, 2, 3):
        reader.read([snapshot(scap__n_drops=total, scap__n_drops_prev=total - 1, falco__start_ts=1)])
        reader.read([snapshot(scap__n_drops=total * 10, scap__n_drops_prev=total * 10 - 10, falco__start_ts=2)])

    assert telemetry.value("falco_syscall_drops_total") == 33


@pytest.mark.parametrize("start", range(2))
def test_a_crash_loop_and_countless_sources_stay_bounded(telemetry: Telemetry, start: int) -> None:
    reader = Notices(telemetry)

    reader.read(
        snapshot(evt__source=str(number), scap__n_drops=1, scap__n_drops_prev=start, falco__start_ts=number)
        for number in range(100)
    )

    assert telemetry.value("falco_syscall_drops_total") == 100 * (1 - start)
    assert len(reader._totals) <= 16
    assert len(reader._sources) <= 16


@pytest.mark.parametrize(
    "odd",
    [
        b"no json",
        b'{"rule":1}',
        b'{"rule":"Falco internal: syscall event drop"}',
        b'{"rule":"Falco internal: timeouts notification","output_fields":{"last_event_time":"1"}}',
        b'{"rule":"Falco internal: metrics snapshot","output_fields":{"nested":{"a":1}}}',
        b'{"rule":"Falco internal: metrics snapshot","output_fields":' + b"[" * 100_000,
        drops("many"),
        drops("-5"),
        drops("inf"),
        drops("nan"),
        drops(None),
        drops(True),
        snapshot(scap__n_drops="x", scap__n_drops_prev=None, falco__start_ts=None),
        snapshot(scap__n_drops=-1),
    ],
)
def test_odd_notices_count_as_none_and_end_nothing(telemetry: Telemetry, odd: bytes) -> None:
    reader = Notices(telemetry)

    reader.read([odd, drops("3")])

    assert telemetry.value("falco_syscall_drops_total") == 3


def test_numbers_beyond_64_bits_are_read(telemetry: Telemetry) -> None:
    Notices(telemetry).read([snapshot(scap__n_evts=18446744073506046132)])

    assert telemetry.value("falco_events_total") == pytest.approx(1.8446744e19)


def test_words_of_any_length_and_number_stay_bounded(telemetry: Telemetry) -> None:
    reader, word = Notices(telemetry), "x" * 1_000_000

    for number in range(20):
        reader.read(
            [
                snapshot(
                    evt__source=f"{number}{word}",
                    falco__version=f"{number}{word}",
                    falco__start_ts=f"{number}{word}",
                    scap__n_drops=1,
                    **{f"falco.sha256_rules_file.{name}{word}": word for name in range(3)},
                )
            ]
        )
    reader.read([snapshot(**{f"falco.sha256_rules_file.{name}": "0" * 64 for name in range(10_000)})])

    assert len(rules_info(telemetry)["rules"]) < 20_000
    assert len(reader.version) <= 140
    assert sum(map(len, [*reader._sources, *reader._totals, *reader.rules, *reader.rules.values()])) < 20_000
