"""Filter patterns: tables of patterns, messages and results."""

import pytest

from agent.local.emulator.patterns import matcher
from agent.local.emulator.replies import ServiceError

ALERT = (
    b'{"priority":"Critical","rule":"Read sensitive file","n":5,"ok":true,"none":null,'
    b'"output_fields":{"k8s.ns.name":"default","evt.num":7},"tags":["a","b"]}'
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Critical", True),
        ("critical", False),
        ("Critical sensitive", True),
        ("Critical absent", False),
        ("Critical -sensitive", False),
        ('"sensitive file"', True),
        ('"file sensitive"', False),
        ('-"sensitive file"', False),
        ("?absent ?Critical", True),
        ("?absent ?missing", False),
        (r'"\"rule\":\"Read"', True),
        ('{ $.priority = "Critical" }', True),
        ("{ $.priority = Critical }", True),
        ('{ $.priority = "Crit*" }', True),
        ('{ $.priority = "C?itical" }', False),
        ('{ $.priority != "Notice" }', True),
        ('{ $.absent != "Notice" }', False),
        ('{ $.priority = "Notice" || $.n > 4 }', True),
        ('{ $.priority = "Notice" || $.n > 4 && $.n < 5 }', False),
        ('{ ($.priority = "Notice" || $.n >= 5) && $.n <= 5 }', True),
        ("{ $.n = 5 }", True),
        ("{ $.n != 5 }", False),
        ("{ $.n < 4.5 }", False),
        ('{ $.n = "5" }', False),
        ("{ $.priority > 1 }", False),
        ("{ $.ok IS TRUE }", True),
        ("{ $.none IS NULL }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.absent NOT EXISTS }", True),
        ("{ $.output_fields['k8s.ns.name'] = \"default\" }", True),
        ('{ $.output_fields["evt.num"] = 7 }', True),
        ('{ $.tags[1] = "b" }', True),
        ('{ $.tags[2] = "b" }', False),
        ('{ $.priority.deeper = "b" }', False),
    ],
)
def test_a_pattern_matches_as_the_user_guide_says(pattern: str, expected: bool):
    matches = matcher(pattern)

    assert matches is not None
    assert matches(ALERT) is expected


def test_an_empty_pattern_matches_everything():
    assert matcher("  ") is None


def test_a_json_pattern_does_not_match_text_that_is_not_json():
    matches = matcher('{ $.a = "b" }')

    assert matches is not None
    assert not matches(b"plain text")
    assert not matches(b'["a"]')


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "{}",
        "{ $.a }",
        "{ $.a = }",
        '{ $.a = "b" && }',
        '{ ($.a = "b" }',
        '{ $.a > "b" }',
        "{ $.a IS 5 }",
        "{ $.a ~ 5 }",
        "[ip, user]",
        "%regex%",
        "a.b",
        '{ $.a NOT "b" }',
        '{ $.a = "b" ) }',
    ],
)
def test_an_invalid_pattern_is_refused(pattern: str):

    with pytest.raises(ServiceError, match="InvalidParameterException: Invalid filter pattern"):
        matcher(pattern)
