"""Idle files give up their descriptor first, the least recently written before the others."""

from agent.tail.descriptor_choice import SCANS_TO_BEGIN, SPARE, TURN_SECONDS, OpenFile, choose

NOW = 100.0


def nothing() -> None:
    """Neither closes nor pauses."""


def idle(wrote_at: float) -> OpenFile:
    return OpenFile(wrote_at, 0.0, True, 9, True, True, nothing, nothing)


def busy(turn_since: float, *, may_close: bool = True, begun: bool = True, scans: int = 9) -> OpenFile:
    return OpenFile(NOW, turn_since, begun, scans, False, may_close, nothing, nothing)


def test_idle_files_are_closed_first_and_the_least_recently_written_before_the_others() -> None:
    files = [busy(0.0), *(idle(wrote_at) for wrote_at in (30.0, 10.0, 20.0, *range(40, 60)))]

    chosen = choose(files, 3, NOW)

    assert [file.wrote_at for file in chosen.close] == [10.0, 20.0, 30.0, 40, 41, 42, 43]
    assert len(chosen.close) == 3 + SPARE
    assert not chosen.pause


def test_a_file_that_is_never_idle_gives_way_when_it_has_had_its_turn() -> None:
    waits, reads, young = busy(NOW - TURN_SECONDS), busy(NOW - 5, may_close=False), busy(NOW - TURN_SECONDS + 0.1)

    chosen = choose([young, waits, reads, idle(1.0)], 4, NOW)

    assert [file.wrote_at for file in chosen.close] == [1.0, NOW]
    assert (chosen.close[1], chosen.pause) == (waits, [reads])


def test_a_file_that_has_not_begun_gives_way_first_when_it_has_had_its_scans() -> None:
    begun = busy(NOW - 9)
    waited, new = (busy(NOW - 5, begun=False, scans=scans) for scans in (SCANS_TO_BEGIN, SCANS_TO_BEGIN - 1))

    assert choose([begun, waited, new], 1, NOW).close == [waited]
    assert choose([begun, waited, new], 3, NOW).close == [waited, begun]
