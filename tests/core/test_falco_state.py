"""The state of Falco on a node; time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.falco_state import MOST_NAMED, STARTING_SECONDS, FalcoState, FoundFalco, NodeFalco

SILENT, MISSING = 900.0, 300.0
READ = FoundFalco("falco/falco-x2x9t", wrote_at=1000.0, format="json", version="0.44.1")
TEXT = FoundFalco("falco/falco-text1", wrote_at=1000.0, format="text")
QUIET = FoundFalco("falco/falco-quiet", wrote_at=0.0, format="json")
ELSEWHERE = FoundFalco(
    "default/falco-b4c5d", 1000.0, has_log=False, to_read="tail.namespace = default", because="container falco"
)
UNREADABLE = FoundFalco("falco/falco-x2x9t", 1000.0, unreadable="it is a link to /x")
WITHOUT_LOG = FoundFalco("falco/falco-b4c5d", wrote_at=0.0, has_log=False)
STARTING = FoundFalco("falco/falco-b4c5d", wrote_at=1000.0 - STARTING_SECONDS / 2, has_log=False)
MOVABLE = FoundFalco("falco/falco-7d4b9c6f5-x2x9t", 1000.0, is_movable=True)


@pytest.mark.parametrize(
    ("found", "state", "is_blind", "words"),
    [
        ([READ], FalcoState.READING, False, "falco/falco-x2x9t is read, version 0.44.1"),
        ([FoundFalco("/var/log/falco.json", 1000.0)], FalcoState.READING, False, "/var/log/falco.json is read"),
        ([STARTING], FalcoState.READING, False, "is starting and has no log yet"),
        ([TEXT], FalcoState.TEXT, True, "set json_output: true"),
        ([QUIET], FalcoState.SILENT, False, "has written nothing for 1000 s"),
        ([WITHOUT_LOG], FalcoState.SILENT, False, "has no log below tail.root"),
        ([ELSEWHERE], FalcoState.ELSEWHERE, True, "(container falco), but is not read; set tail.namespace = default"),
        ([UNREADABLE], FalcoState.ELSEWHERE, True, "its log cannot be opened: it is a link to /x"),
        ([], FalcoState.NONE, True, "no Falco was found on this node; install it, or set tail.namespace, tail.pod"),
    ],
)
def test_each_state_has_its_sentence(found: list[FoundFalco], state: FalcoState, is_blind: bool, words: str) -> None:
    node = NodeFalco(SILENT, MISSING)

    assert node.look(found, 1000.0) is None
    assert node.view is not None
    assert (node.view.state, node.view.is_blind) == (state, is_blind)
    assert words in node.view.detail


def test_of_several_falcos_the_worst_state_counts_and_each_has_its_own() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([READ, ELSEWHERE, TEXT, QUIET], 1000.0)

    assert node.view is not None
    assert [pod.state for pod in node.view.pods] == ["elsewhere", "text", "silent", "reading"]
    assert node.view.state == "elsewhere"
    assert "falco-x2x9t" not in node.view.detail
    assert node.view.versions == ("0.44.1",)


def test_a_silent_falco_does_not_hide_that_another_one_prints_text() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([QUIET, TEXT], 1000.0)

    assert node.view is not None
    assert (node.view.state, node.view.is_blind) == (FalcoState.TEXT, True)


def test_of_many_falcos_a_sentence_names_a_few() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([replace(ELSEWHERE, name=f"tenant-{number}/falco-b4c5d") for number in range(200)], 1000.0)

    assert node.view is not None
    assert node.view.detail.count("is Falco") == MOST_NAMED
    assert node.view.detail.endswith(f"; and {200 - MOST_NAMED} more")


def test_a_log_root_that_cannot_be_listed_is_announced_like_a_node_without_falco() -> None:
    node = NodeFalco(SILENT, MISSING)
    assert node.look([READ], 1000.0) is None

    assert node.look([], 1010.0, unlistable="/var/log/pods: cannot be listed") is None
    assert node.view is not None
    assert (node.view.state, node.view.is_blind) == (FalcoState.NONE, True)
    change = node.look([], 1010.0 + MISSING, unlistable="/var/log/pods: cannot be listed")
    assert change is not None
    assert change.view.detail == "/var/log/pods: cannot be listed"
    change = node.look([READ], 1020.0 + MISSING)
    assert change is not None
    assert not change.view.is_blind


def test_a_log_root_that_cannot_be_listed_is_blindness_also_where_falco_may_move() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([MOVABLE], 1000.0)
    node.look([], 1010.0, unlistable="/var/log/pods: cannot be listed")

    assert node.view is not None
    assert node.view.is_blind


def test_a_node_that_reads_plain_files_is_told_of_the_setting_for_files() -> None:
    node = NodeFalco(SILENT, MISSING, "tail.paths")
    node.look([], 1000.0)

    assert node.view is not None
    assert "install it, or set tail.paths, or set falco.missing_seconds" in node.view.detail


def test_a_silence_of_a_falco_that_prints_text_is_a_silence() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([TEXT], 2000.0)

    assert node.view is not None
    assert node.view.state is FalcoState.SILENT


def test_without_a_limit_no_falco_is_silent() -> None:
    node = NodeFalco(0, MISSING)
    node.look([QUIET], 1e9)

    assert node.view is not None
    assert node.view.state is FalcoState.READING


@pytest.mark.parametrize("found", [[ELSEWHERE], [TEXT], []])
def test_a_blind_node_is_announced_once_and_its_end_once(found: list[FoundFalco]) -> None:
    node = NodeFalco(0, MISSING)

    changes = [node.look(found, now) for now in (0.0, 299.0, 300.0, 305.0, 5000.0)]

    announced = changes[2]
    assert announced is not None
    assert announced.view.is_blind
    assert announced.view.announced
    assert announced.blind_seconds == 300
    assert [change is not None for change in changes] == [False, False, True, False, False]
    end = node.look([READ], 5005.0)
    assert end is not None
    assert (end.view.is_blind, end.view.announced, end.blind_seconds) == (False, False, 5005)
    assert node.look([READ], 5010.0) is None


def test_a_blindness_that_ends_in_time_is_never_announced() -> None:
    node = NodeFalco(SILENT, MISSING)

    assert [node.look([], 0.0), node.look([READ], 299.0), node.look([], 300.0), node.look([], 599.0)] == [None] * 4
    assert node.look([], 600.0) is not None


def test_another_way_of_being_blind_is_announced_too_but_not_more_often_than_the_limit() -> None:
    node = NodeFalco(0, MISSING)
    node.look([], 0.0)
    assert node.look([], 300.0) is not None

    assert node.look([ELSEWHERE], 305.0) is None
    change = node.look([ELSEWHERE], 600.0)
    assert change is not None
    assert change.view.state is FalcoState.ELSEWHERE


def test_with_zero_seconds_nothing_is_announced_and_a_node_without_falco_is_not_blind() -> None:
    node = NodeFalco(SILENT, 0)

    assert [node.look([], 0.0), node.look([], 1e6)] == [None, None]
    assert node.view is not None
    assert (node.view.state, node.view.is_blind) == (FalcoState.NONE, False)
    assert node.look([ELSEWHERE], 2e6) is None
    assert node.view.is_blind


def test_a_node_that_the_falco_of_a_deployment_has_left_is_not_blind() -> None:
    node = NodeFalco(SILENT, MISSING)
    node.look([MOVABLE], 1000.0)

    assert [node.look([], 1005.0), node.look([], 9000.0)] == [None, None]
    assert node.view is not None
    assert (node.view.state, node.view.is_blind) == (FalcoState.NONE, False)
    assert "left with its Deployment" in node.view.detail

    node.look([MOVABLE, READ], 9005.0)
    node.look([], 9010.0)
    assert node.look([], 9400.0) is not None, "a DaemonSet's Falco left as well"


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400), st.lists(st.sampled_from([READ, TEXT, QUIET, ELSEWHERE, WITHOUT_LOG]), max_size=3)
        ),
        max_size=30,
    ),
    st.sampled_from([0.0, 300.0]),
)
def test_every_history_alternates_between_blind_and_not_and_never_announces_early(
    history: list[tuple[float, list[FoundFalco]]], missing_seconds: float
) -> None:
    node, now, announced, blind_since = NodeFalco(SILENT, missing_seconds), 1000.0, False, None
    for seconds, found in history:
        now += seconds
        change = node.look(found, now)
        view = node.view
        assert view is not None
        assert (view.state is FalcoState.NONE) == (not found)
        assert all(pod.detail for pod in view.pods)
        blind_since = (now if blind_since is None else blind_since) if view.is_blind else None
        if change is not None:
            assert missing_seconds
            assert change.view.is_blind or announced
            if change.view.is_blind:
                assert blind_since is not None
                assert now - blind_since >= missing_seconds
            announced = change.view.is_blind
        assert view.announced == announced
