"""Sizes and durations may be written with a unit, in the file and in the environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings import Settings, load_settings
from agent.settings.units import bytes_of, duration_text, seconds_of, size_text


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("16MiB", 16 * 2**20),
        ("16Mi", 16 * 2**20),
        ("16mib", 16 * 2**20),
        ("16 MiB", 16 * 2**20),
        ("16MB", 16_000_000),
        ("2.5GiB", 5 * 2**29),
        ("1TiB", 2**40),
        ("512KiB", 2**19),
        ("4096B", 4096),
    ],
)
def test_a_size_may_have_a_unit(written, size):
    assert bytes_of(written) == size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1h 30m", 5400), ("1d", 86_400), ("1.5h", 5400)],
)
def test_a_duration_may_have_a_unit(written, seconds):
    assert seconds_of(written) == seconds


@pytest.mark.parametrize("value", [16_777_216, 1.5, "16777216", "30", "1e3", "-1", None, [], True])
def test_a_plain_number_and_a_value_of_another_type_stay_as_they_are(value):
    assert bytes_of(value) is value
    assert seconds_of(value) is value


@pytest.mark.parametrize(
    "written", ["16M", "MiB", "16 apples", "-16MiB", "16MiBMiB", "0x10MiB", "1.5B", "", "1" * 30 + "B"]
)
def test_a_size_that_cannot_be_read_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match=r"must be a whole number of bytes, or a size such as 16MiB"):
        bytes_of(written)


@pytest.mark.parametrize("written", ["soon", "30 sec", "-5m", "1h30", "m", "5m" * 6, "1" * 30 + "s"])
def test_a_duration_that_cannot_be_read_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match=r"must be a number of seconds, or a duration such as 30s, 5m or 1h30m"):
        seconds_of(written)


def test_units_work_in_the_file_and_in_the_environment(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("memory_budget_bytes: 32MiB\ntail: {scan_seconds: 500ms}\nfalco: {express_bytes: 1MiB}\n")

    settings = load_settings(
        {"FALCOWATCH_DRAIN_SECONDS": "1m", "FALCOWATCH_ENRICH__MAX_BYTES": "8KiB"}, config
    ).settings

    assert settings.memory_budget_bytes == 32 * 2**20
    assert settings.tail.scan_seconds == 0.5
    assert settings.falco.express_bytes == 2**20
    assert settings.drain_seconds == 60
    assert settings.enrich.max_bytes == 8192


def test_every_setting_in_bytes_or_seconds_may_have_a_unit():
    schema = Settings.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    fields = {name: field for model in models for name, field in model["properties"].items()}
    measured = {name: field for name, field in fields.items() if name.endswith(("_bytes", "_seconds"))}

    assert len(measured) >= 15
    assert {
        name for name, field in measured.items() if "string" not in field["type"] or "pattern" not in field
    } == set()


@given(st.integers(0, 2**50))
def test_a_size_that_is_printed_is_read_as_the_same_size(size):
    assert int(bytes_of(size_text(size))) == size


@given(st.integers(0, 10**10))
def test_a_duration_that_is_printed_is_read_as_the_same_duration(milliseconds):
    assert seconds_of(duration_text(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "500ms"), (30.0, "30s"), (300, "5m"), (3600, "1h"), (90, "90s"), (0, "0s"), (1e-9, "1e-09")],
)
def test_a_duration_is_printed_in_the_largest_unit_that_divides_it(value, text):
    assert duration_text(value) == text
