"""Label values from outside: bounded in length, in number and in bytes, and always valid for Prometheus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from agent.telemetry import Telemetry
from agent.telemetry.labels import DIGEST_CHARS, LONGEST_LABEL_CHARS, OTHER, BoundedLabels, label


def test_a_short_value_is_its_own_label():
    assert label("Terminal shell in container") == "Terminal shell in container"


def test_a_long_value_ends_after_128_characters_with_a_digest_that_keeps_it_apart():
    one, other = label("x" * 1_000_000), label("x" * 1_000_001)

    assert one.startswith("x" * LONGEST_LABEL_CHARS + "~")
    assert len(one) == LONGEST_LABEL_CHARS + 1 + DIGEST_CHARS
    assert one != other


@given(st.text(st.characters(codec=None), max_size=300))
def test_every_value_can_be_written_to_a_metrics_page(value):
    telemetry = Telemetry("1")

    telemetry.falco_internal.labels(label(value)).inc()

    assert b"falcowatch_falco_internal_total{rule=" in generate_latest(telemetry.registry)


@pytest.mark.parametrize("value", ["\ud800", "a\x00b", "ü" * 500, "\ud800" * 500])
def test_odd_values_become_utf_8(value):
    label(value).encode()


def test_values_beyond_the_number_are_other():
    labels = BoundedLabels(most=3, most_bytes=1000)

    assert [labels.of(f"rule-{number}") for number in range(5)] == ["rule-0", "rule-1", "rule-2", OTHER, OTHER]
    assert labels.of("rule-1") == "rule-1"
    assert len(labels) == 3


def test_values_beyond_the_bytes_are_other():
    labels = BoundedLabels(most=1000, most_bytes=1000)

    found = [labels.of(f"{number:03}" + "ü" * 97) for number in range(1000)]

    assert found[:5] == [f"{number:03}" + "ü" * 97 for number in range(5)]
    assert set(found[5:]) == {OTHER}
