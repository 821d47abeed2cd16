"""Label values from outside are bounded in length and in number."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from agent.telemetry import Telemetry
from agent.telemetry.labels import LONGEST_LABEL, OTHER, BoundedLabel, label_value


@given(st.text(max_size=LONGEST_LABEL))
def test_a_short_value_is_itself(text: str) -> None:
    assert label_value(text) == text


def test_long_values_end_at_128_characters_and_stay_apart() -> None:
    values = {label_value("x" * 200 + str(number)) for number in range(100)}

    assert len(values) == 100
    assert {len(value) for value in values} == {LONGEST_LABEL}
    assert all(value.startswith("x" * 100) for value in values)


def test_beyond_the_bound_all_new_values_are_other() -> None:
    label = BoundedLabel(3)

    assert [label.of(text) for text in "abcdab"] == ["a", "b", "c", OTHER, "a", "b"]


@given(st.text(st.characters(codec=None), max_size=300))
def test_every_value_can_be_written_to_a_metrics_page(text: str) -> None:
    telemetry = Telemetry("1")

    telemetry.falco_internal.labels(label_value(text)).inc()

    assert b"falcowatch_falco_internal_total{rule=" in generate_latest(telemetry.registry)
