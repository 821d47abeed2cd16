"""The script of `falcowatch demo --chaos`, and the list of what has happened."""

from agent.local.chaos import SCRIPT, Act, Journal, Schedule, Step

STEPS = (Step(3, Act.FAIL, "throttling"), Step(5, Act.KILL, "kill -9"), Step(5.5, Act.RECOVER, "works again"))


def test_each_step_is_given_once_when_its_second_has_come():
    schedule = Schedule(STEPS[::-1])

    assert [*schedule.due(2.9)] == []
    assert [step.text for step in schedule.due(5.1)] == ["throttling", "kill -9"]
    assert not schedule.is_over
    assert [step.text for step in schedule.due(60)] == ["works again"]
    assert schedule.is_over


def test_the_script_takes_less_than_a_minute_and_ends_with_a_running_agent_and_a_working_cloudwatch():
    acts = [step.act for step in SCRIPT.steps]

    assert SCRIPT.steps[-1].at < SCRIPT.writing_seconds < 60
    assert set(acts) == set(Act)
    assert acts.count(Act.KILL) == acts.count(Act.START) == 1
    assert acts.index(Act.KILL) < acts.index(Act.START)
    assert [act for act in acts if act in (Act.FAIL, Act.RECOVER)] == [Act.FAIL, Act.RECOVER] * 4
    assert all(bool(step.faults) == (step.act is Act.FAIL) for step in SCRIPT.steps)


def test_the_script_has_throttling_an_outage_and_resets_after_acceptance():
    faults = [fault for step in SCRIPT.steps for fault in step.faults]

    assert {"throttle", "reset", "slow"} == {fault.kind for fault in faults}
    assert any(fault.kind == "reset" and fault.accepted for fault in faults)
    assert any(fault.kind == "reset" and fault.operation == "*" and fault.probability == 1 for fault in faults)


def test_each_line_of_the_script_fits_into_a_terminal_of_80_columns():
    journal = Journal()
    for step in SCRIPT.steps:
        journal.add(step.at, step, requests_hit=1234)
    journal.add_arrival(59, "the end of the flood", 12.34)

    assert max(len(entry.line) for entry in journal.entries) < 76


def test_a_recovery_says_how_many_requests_were_hit_and_an_arrival_how_long_it_took():
    journal = Journal()
    for step in STEPS:
        journal.add(step.at, step, requests_hit=1)
    journal.add_arrival(6.2, "the Critical", 1.14)

    assert [entry.line for entry in journal.entries] == [
        "    3 s  throttling",
        "    5 s  kill -9",
        "    6 s  works again (1 request hit)",
        "    6 s  the Critical has arrived (1.1 s after it was written)",
    ]
