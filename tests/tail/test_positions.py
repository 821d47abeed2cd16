"""Which positions are forgotten, and which files that were known are losses."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.tail import positions as module
from agent.tail.checkpoint import Position
from agent.tail.positions import FORGET_AFTER_SECONDS, Retention, SourceSeen, could_be_seen, missing_files

SETTLED = Position("/pods/p/falco/0.log.1", 10, 10, complete=True)
OPEN = Position("/pods/p/falco/0.log", 10, 10)
SOURCE = SourceSeen("/pods/p/falco/0.log", recognised=True, unsure=False)


def test_a_settled_file_is_forgotten_after_an_hour_of_scans_that_could_have_seen_it() -> None:
    retention, known = Retention(), {"gone": SETTLED, "there": SETTLED, "open": OPEN, "unseen": SETTLED}
    seen = {"gone", "there", "open"}

    assert retention.to_forget(known, {"there"}, seen, FORGET_AFTER_SECONDS - 1) == []
    assert retention.to_forget(known, {"there"}, seen, 1) == ["gone"]
    del known["gone"]
    assert retention.to_forget(known, {"there"}, seen, FORGET_AFTER_SECONDS * 9) == []


def test_a_file_that_comes_back_begins_its_hour_again() -> None:
    retention, known = Retention(), {"f": SETTLED}

    assert retention.to_forget(known, set(), {"f"}, FORGET_AFTER_SECONDS - 1) == []
    assert retention.to_forget(known, {"f"}, {"f"}, 60) == []
    assert retention.to_forget(known, set(), {"f"}, FORGET_AFTER_SECONDS - 1) == []


@pytest.mark.parametrize(("most", "most_bytes", "left"), [(3, 1 << 20, 3), (1000, 1000, 4)])
def test_beyond_a_number_and_a_size_those_that_are_gone_longest_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int, left: int
) -> None:
    monkeypatch.setattr(module, "MOST_GONE", most)
    monkeypatch.setattr(module, "MOST_GONE_BYTES", most_bytes)
    retention, known = Retention(), {str(number): SETTLED for number in range(left)}
    assert retention.to_forget(known, set(), set(known), 60) == []

    known |= {"new": SETTLED}

    assert retention.to_forget(known, set(), set(known), 60) == ["0"]


def test_a_root_that_is_missing_or_empty_on_another_device_shows_nothing(tmp_path: Path) -> None:
    root = tmp_path / "pods"
    file = Position(str(root / "p" / "falco" / "0.log"), 10, device=tmp_path.stat().st_dev)
    unmounted = replace(file, device=file.device + 1)

    assert not could_be_seen(file, root)
    root.mkdir()
    assert could_be_seen(file, root)
    assert not could_be_seen(unmounted, root)
    (root / "other").mkdir()
    assert could_be_seen(unmounted, root)
    assert not could_be_seen(Position(str(tmp_path / "gone" / "falco.log"), 10), root)
    assert could_be_seen(Position(str(tmp_path / "falco.log"), 10), root)
    assert could_be_seen(Position("", 0), root)


def test_an_unfinished_file_that_is_gone_is_a_loss_where_bytes_were_left_or_its_log_goes_on() -> None:
    unread = Position("/pods/q/falco/0.log", 10, 30)
    known = {"a": OPEN, "b": unread, "c": Position("/pods/r/falco/0.log", 5, 5), "d": SETTLED}

    missing = missing_files(known, set(), [SOURCE], set(known))

    assert [(gap.file, gap.start, gap.end) for gap in missing.gaps] == [("a", 10, 10), ("b", 10, 30)]
    assert missing.read_to_end == ["c"]
    assert not missing.undecided


def test_nothing_is_decided_about_a_file_that_may_still_be_found() -> None:
    unsure = SourceSeen(SOURCE.name, recognised=False, unsure=True)

    assert missing_files({"a": OPEN}, set(), [unsure], {"a"}).undecided == ["a"]
    assert missing_files({"a": OPEN}, set(), [SOURCE], set()).undecided == ["a"]
    assert not missing_files({"a": OPEN}, {"a"}, [SOURCE], {"a"}).gaps


def test_where_no_known_file_of_a_log_is_left_more_may_be_missing_once() -> None:
    unknown = SourceSeen(SOURCE.name, recognised=False, unsure=False)
    again = SourceSeen(SOURCE.name, recognised=False, unsure=False, judged=True)

    (gap,) = missing_files({"a": SETTLED}, set(), [unknown], {"a"}).gaps
    assert (gap.start, gap.end, gap.at_least) == (10, 10, True)
    assert not missing_files({"a": SETTLED}, set(), [again], {"a"}).gaps
