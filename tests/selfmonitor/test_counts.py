"""Counting stays bounded whatever rules, priorities and sources are called, and however many there are."""

import orjson
from prometheus_client.exposition import generate_latest

from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST
from agent.core.reading.line_formats import recognise
from agent.core.reading.records import Records
from agent.selfmonitor.counts import Counts
from agent.telemetry import Telemetry


def counted(*alerts: dict[str, str]) -> tuple[Counts, Telemetry]:
    telemetry = Telemetry("0")
    counts, processor = Counts(telemetry), Processor(Policy(), node="node-a")
    for number, alert in enumerate(alerts):
        line = orjson.dumps({"output": "", "rule": "r", "priority": "Notice", "source": "syscall"} | alert)
        records = Records([line], [number], [line + b"\n"])
        result = processor.process(
            records, file="f", line_format=recognise(line), now_ms=0, find=lambda key, time_ms: HOST
        )
        counts.add(result)
    return counts, telemetry


def test_a_few_kinds_are_counted_by_their_names() -> None:
    counts, telemetry = counted({"rule": "a"}, {"rule": "a"}, {"rule": "b", "priority": "Critical", "source": "k8s"})

    assert counts.alerts == {"Notice": 2, "Critical": 1}
    assert telemetry.value("alerts_total", priority="Notice", source="syscall") == 2
    assert telemetry.value("alerts_total", priority="Critical", source="k8s") == 1
    assert telemetry.value("alerts_by_rule_total", rule="a") == 2
    assert [(alert.priority, alert.rule) for alert in counts.last_alerts][-1] == ("Critical", "b")


def test_countless_and_endless_names_keep_the_metrics_small_and_every_alert_is_counted() -> None:
    word = "x" * 100_000
    alerts = [
        {"rule": f"{number}{word}", "priority": f"{number}{word}", "source": f"{number}{word}"} for number in range(500)
    ]

    counts, telemetry = counted(*alerts, *({**alert, "source": "internal"} for alert in alerts))

    assert len(generate_latest(telemetry.registry)) < 1_000_000
    assert telemetry.total("alerts_total") == telemetry.total("alerts_by_rule_total") == 1000
    assert telemetry.total("falco_internal_total") == 500
    assert counts.alerts.total() == 1000
    assert sum(len(alert.priority) + len(alert.rule) for alert in counts.last_alerts) < 3000
    assert sum(len(kind.rule) for kind in counts._series) < 200_000
