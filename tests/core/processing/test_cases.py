"""The cases that are remembered are bounded in number and in bytes."""

from agent.core.processing.alert import Alert, OutputFields
from agent.core.processing.cases import LONGEST_CASE_BYTES, MOST_BYTES, MOST_CASES, Cases
from agent.core.processing.kinds import Kinds, Policy


def learned(cases: Cases, *alerts: Alert) -> list[bool]:
    kinds = Kinds(Policy())
    for alert in alerts:
        cases.learn(alert, kinds.of(alert))
    return [case is not None for case in cases.of(alerts)]


def alert(rule: str = "R", pod: str | None = "web") -> Alert:
    return Alert(rule=rule, priority="Error", output_fields=OutputFields(pod=pod))


def test_a_case_is_known_once_it_was_learned() -> None:
    assert learned(Cases(), alert(), alert("S")) == [True, True]
    assert Cases().of([alert()]) == [None]


def test_an_alert_without_output_fields_has_no_case() -> None:
    assert learned(Cases(), Alert(rule="R", priority="Error")) == [False]


def test_a_case_with_long_words_is_not_remembered() -> None:
    assert learned(Cases(), alert("x" * LONGEST_CASE_BYTES), alert(pod="x" * LONGEST_CASE_BYTES)) == [False, False]


def test_all_cases_are_forgotten_beyond_a_number_and_beyond_a_size() -> None:
    many = learned(Cases(), *[alert(str(number)) for number in range(MOST_CASES + 1)])
    large = learned(Cases(), *[alert(f"{number:01000}") for number in range(1 + MOST_BYTES // 1000)])

    assert many == [False] * MOST_CASES + [True]
    assert large[-1]
    assert not large[0]
