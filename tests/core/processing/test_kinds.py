"""What follows from an alert's priority, source and rule."""

import pytest

from agent.core.priorities import PRIORITIES
from agent.core.processing.alert import Alert, decode_alert
from agent.core.processing.kinds import MOST_KINDS, Kinds, Policy
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.line_formats import Plain
from agent.core.values import Lane
from tests.core.processing.chunks import alert, process


@pytest.mark.parametrize(
    ("priority", "source", "lane", "filtered"),
    [
        ("Emergency", "syscall", Lane.URGENT, ""),
        ("critical", "syscall", Lane.URGENT, ""),
        ("Error", "syscall", Lane.ROUTINE, ""),
        ("Notice", "syscall", Lane.ROUTINE, ""),
        ("Informational", "syscall", None, "priority"),
        ("Info", "syscall", None, "priority"),
        ("Debug", "syscall", None, "priority"),
        ("Unheard-of", "syscall", Lane.ROUTINE, ""),
        ("Debug", "internal", Lane.URGENT, ""),
    ],
)
def test_priority_decides_the_lane_and_falco_about_itself_is_never_filtered(
    priority: str, source: str, lane: Lane | None, filtered: str
) -> None:
    line = alert(priority=priority, source=source)
    result = process(line, line, policy=Policy(minimum_priority="notice"))

    assert [name for name, span in result.spans.items() for _ in range(len(span))] == ([lane, lane] if lane else [])
    assert result.filtered == ({filtered: 2} if filtered else {})
    assert [(kind.rule, seen) for kind, seen in result.seen.items()] == [("R", 2)]
    assert sum(result.billed_bytes.values()) == sum(sum(span.sizes) + 26 * len(span) for span in result.spans.values())
    assert result.notices == ([line, line] if source == "internal" else [])


@pytest.mark.parametrize("minimum", PRIORITIES)
@pytest.mark.parametrize("urgent", PRIORITIES)
def test_the_urgent_scan_finds_the_alerts_that_reading_puts_into_the_urgent_lane(minimum: str, urgent: str) -> None:
    kinds = Kinds(Policy(minimum_priority=minimum, urgent_priority=urgent))
    for priority in (*map(str.capitalize, PRIORITIES), "Info", "Unheard-of", ""):
        # The nested key leads the scan to the line, whatever its priority is.
        payload = alert(priority=priority, output_fields={"priority": "Emergency"})

        found = UrgentMatcher(urgent).find(payload + b"\n", 0, Plain(), 1 << 20)

        kind = kinds.of(decode_alert(payload))
        assert bool(len(found)) is (kind.lane is Lane.URGENT), priority


def test_an_unknown_priority_is_routine_and_is_not_filtered_whatever_is_configured() -> None:
    for minimum in PRIORITIES:
        kind = Kinds(Policy(minimum_priority=minimum, urgent_priority="debug")).of(Alert(rule="R", priority="weird"))

        assert (kind.lane, kind.filtered) == (Lane.ROUTINE, "")


def test_rules_may_be_dropped_by_glob_but_not_falco_s_own() -> None:
    policy = Policy(drop_rules=("Read *", "Falco internal*"))
    result = process(
        alert(rule="Read file"),
        alert(rule="Write file"),
        alert(rule="Falco internal: x", source="internal"),
        policy=policy,
    )

    assert result.filtered == {"rule": 1}
    assert [len(result.spans[lane]) for lane in (Lane.ROUTINE, Lane.URGENT)] == [1, 1]


def test_the_number_of_kinds_is_bounded() -> None:
    kinds = Kinds(Policy())

    for number in range(MOST_KINDS + 10):
        kinds.of(Alert(rule=str(number), priority="Error"))

    assert len(kinds) <= MOST_KINDS


def test_the_names_of_a_kind_are_bounded() -> None:
    kinds, long = Kinds(Policy(drop_rules=("*dropped",))), "x" * 1_000_000

    kind = kinds.of(Alert(rule=long, priority="Critical"))
    other = kinds.of(Alert(rule=long + "y", priority="Critical"))
    dropped = kinds.of(Alert(rule=long + "dropped", priority="Critical"))

    assert len(kind.rule) < 200
    assert kind is kinds.of(Alert(rule=long, priority="Critical"))
    assert kind.rule != other.rule
    assert dropped.filtered == "rule"

    assert len(kinds.of(Alert(rule="R", priority=long)).priority) < 200
