"""When a Falco counts as silent, restarted, vanished, replaced or back; time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.selfmonitor.liveness import (
    FORGET_SECONDS,
    MOST_KNOWN,
    REPLACED_WITHIN_SECONDS,
    Liveness,
    Sighting,
    Transition,
)

LIMIT = 900.0
POD = "falco/falco-x2x9t"


def falco(wrote_at: float, *, name: str = POD, key: str = "", restart: int = 0) -> Sighting:
    return Sighting(key or name, name, restart, wrote_at)


def states(transitions: list[Transition]) -> list[tuple[str, str]]:
    return [(transition.state, transition.name) for transition in transitions]


def test_a_falco_that_writes_changes_nothing() -> None:
    liveness = Liveness(LIMIT)

    assert [liveness.look([falco(now)], now) for now in (0.0, 1000.0, 2000.0)] == [[], [], []]
    assert liveness.silent_seconds(2000.0) == 0
    assert not liveness.any_silent


def test_silence_is_reported_once_and_its_end_once() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)

    changes = [liveness.look([falco(0)], now) for now in (899.0, 900.0, 905.0, 5000.0)]
    assert changes == [[], [Transition(POD, "silent", 900.0)], [], []]
    assert liveness.any_silent
    assert liveness.silent_seconds(5000.0) == 5000

    assert liveness.look([falco(5004)], 5005) == [Transition(POD, "back", 1.0)]
    assert liveness.look([falco(5004)], 5010) == []
    assert not liveness.any_silent


def test_with_zero_seconds_nothing_is_ever_reported() -> None:
    liveness = Liveness(0)

    assert liveness.look([falco(0)], 0) == []
    assert liveness.look([], 1e9) == []
    assert liveness.silent_seconds(1e9) is None


def test_a_silence_that_began_before_the_agent_keeps_its_age_and_is_marked() -> None:
    liveness = Liveness(LIMIT)

    assert liveness.look([falco(-5000)], 0) == [Transition(POD, "silent", 5000.0, at_start=True)]
    assert liveness.look([falco(-5000)], 5) == []


def test_silence_before_the_agent_started_counts_towards_the_limit() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(-890)], 0)

    assert liveness.look([falco(-890)], 10) == [Transition(POD, "silent", 900.0)]


def test_a_restart_has_the_time_since_the_last_write() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)

    # kubelet keeps the log of the container before.
    assert liveness.look([falco(0), falco(30, restart=1)], 31) == [Transition(POD, "restarted", 31.0)]
    assert liveness.look([falco(0), falco(32, restart=1)], 36) == []


def test_a_silent_falco_that_restarts_is_restarted_and_back() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 1000)

    assert states(liveness.look([falco(1001, restart=1)], 1002)) == [("restarted", POD), ("back", POD)]


def test_restarts_before_the_agent_started_are_not_reported() -> None:
    assert Liveness(LIMIT).look([falco(0, restart=7)], 0) == []


def test_in_an_upgrade_the_new_pod_replaces_the_old_one() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)

    assert liveness.look([], 10) == []
    assert liveness.look([], 100) == []
    assert liveness.look([falco(119, name="falco/falco-b4c5d")], 120) == [
        Transition(POD, "replaced", 120.0, by="falco/falco-b4c5d")
    ]
    assert liveness.look([falco(119, name="falco/falco-b4c5d")], 1000) == []
    assert not liveness.any_silent


def test_a_new_pod_may_appear_before_the_old_one_is_gone() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([falco(0), falco(50, name="falco/falco-b4c5d")], 50)

    assert states(liveness.look([falco(60, name="falco/falco-b4c5d")], 60)) == [("replaced", POD)]


def test_pods_of_one_deployment_have_one_owner_though_their_hashes_differ() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0, name="falco/falco-audit-7c9fdd8b6-x2x9t")], 0)

    changes = liveness.look([falco(5, name="falco/falco-audit-5bf6c7d8c4-b4c5d")], 5)

    assert states(changes) == [("replaced", "falco/falco-audit-7c9fdd8b6-x2x9t")]


@pytest.mark.parametrize("other", ["falco/falco-audit-b4c5d", "other/falco-b4c5d", "falco/falco-0"])
def test_a_falco_of_another_owner_replaces_none(other: str) -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([falco(5, name=other)], 5)

    changes = liveness.look([falco(5 + REPLACED_WITHIN_SECONDS, name=other)], 5 + REPLACED_WITHIN_SECONDS)

    assert states(changes) == [("vanished", POD)]


def test_a_falco_that_was_there_before_replaces_none() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0), falco(0, name="falco/falco-b4c5d")], 0)
    liveness.look([falco(5, name="falco/falco-b4c5d")], 5)

    assert states(liveness.look([falco(200, name="falco/falco-b4c5d")], 200)) == [("vanished", POD)]


def test_a_falco_without_a_successor_has_vanished_and_stays_in_the_metrics() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([], 10)

    assert liveness.look([], 10 + REPLACED_WITHIN_SECONDS) == [
        Transition(POD, "vanished", 10 + REPLACED_WITHIN_SECONDS)
    ]
    assert liveness.look([], 5000) == []
    assert liveness.any_silent
    assert liveness.silent_seconds(5000) == 5000


@pytest.mark.parametrize(
    ("name", "transition"),
    [
        (POD, Transition(POD, "back", 1.0)),
        ("falco/falco-b4c5d", Transition(POD, "back", 4001.0, by="falco/falco-b4c5d")),
    ],
)
def test_a_vanished_falco_that_returns_or_is_replaced_is_back(name: str, transition: Transition) -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([], 10)
    liveness.look([], 1000)

    assert liveness.look([falco(4000, name=name)], 4001) == [transition]
    assert not liveness.any_silent


def test_a_short_absence_is_not_reported() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([], 100)
    liveness.look([falco(101)], 101)

    assert liveness.look([], 110 + REPLACED_WITHIN_SECONDS) == []


def test_a_removed_falco_is_forgotten_after_a_day() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([], 10)
    liveness.look([], 1000)

    assert liveness.look([], 10 + FORGET_SECONDS) == []
    assert not liveness.any_silent
    assert liveness.silent_seconds(FORGET_SECONDS) is None


def test_a_silent_successor_does_not_end_the_alarm() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.look([falco(0, name="falco/falco-b4c5d")], 1000)

    assert states(liveness.look([falco(0, name="falco/falco-b4c5d")], 2000)) == [("vanished", POD)]


def test_of_two_sightings_of_one_container_the_later_counts() -> None:
    """The API server gives the creation of the pod, the log the time of the last write."""
    liveness = Liveness(LIMIT)

    liveness.look([falco(2000), falco(-50_000)], 2001)

    assert liveness.silent_seconds(2001) == 1


def test_countless_falcos_that_come_and_go_stay_bounded() -> None:
    liveness = Liveness(LIMIT)
    for number in range(1200):
        liveness.look([falco(number, name=f"falco/own-{number}-b4c5d"), falco(number)], number)

    assert len(liveness._known) <= MOST_KNOWN + 2
    assert POD in liveness._known


moments = st.lists(
    st.tuples(
        st.floats(min_value=1, max_value=2000),
        st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 2)), max_size=3),
    ),
    max_size=30,
)


@given(moments)
def test_each_falco_is_back_only_after_an_alarm(
    history: list[tuple[float, list[tuple[str, bool, int]]]],
) -> None:
    liveness, now, wrote = Liveness(LIMIT), 0.0, {"a": 0.0, "b": 0.0}
    alarmed: set[str] = set()
    for seconds, seen in history:
        now += seconds
        for name, writes, _ in seen:
            if writes:
                wrote[name] = now
        for transition in liveness.look(
            [falco(wrote[name], name=name, restart=restart) for name, _, restart in seen], now
        ):
            assert 0 <= transition.seconds <= now
            if transition.state == "back":
                assert transition.name in alarmed
                alarmed.discard(transition.name)
            elif transition.state in ("silent", "vanished"):
                alarmed.add(transition.name)
        assert liveness.any_silent <= bool(alarmed)


def test_the_pod_of_a_deployment_that_leaves_has_moved_and_is_forgotten() -> None:
    liveness = Liveness(LIMIT)
    seen = falco(0)._replace(is_movable=True)
    liveness.look([seen], 0)

    changes = [liveness.look([], now) for now in (10.0, 10 + REPLACED_WITHIN_SECONDS, 5000.0)]

    assert changes == [[], [Transition(POD, "moved", 10 + REPLACED_WITHIN_SECONDS)], []]
    assert liveness.silent_seconds(5000.0) is None
    assert not liveness.any_silent


def test_a_deployment_that_stays_on_the_node_is_replaced() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0, name="falco/falco-7d4b9c6f5-x2x9t")._replace(is_movable=True)], 0)

    successor = falco(50, name="falco/falco-7d4b9c6f5-b4c5d")
    assert states(liveness.look([successor], 60)) == [("replaced", "falco/falco-7d4b9c6f5-x2x9t")]


def test_a_restart_that_the_checkpoint_does_not_know_happened_while_the_agent_was_away() -> None:
    liveness = Liveness(LIMIT, {POD: 2, "other": 5})

    assert liveness.look([falco(0, restart=3)], 5) == [Transition(POD, "restarted", 5.0, at_start=True)]
    assert liveness.look([falco(0, restart=3)], 10) == []


@pytest.mark.parametrize("known", [{}, {POD: 3}, {POD: 4}])
def test_a_restart_that_the_checkpoint_knows_is_not_told_again(known: dict[str, int]) -> None:
    assert Liveness(LIMIT, known).look([falco(0, restart=3)], 5) == []


def test_a_forgotten_falco_never_vanishes() -> None:
    liveness = Liveness(LIMIT)
    liveness.look([falco(0)], 0)
    liveness.forget({POD, "unknown"})

    assert liveness.look([], 5000) == []
    assert not liveness.any_silent
