"""The files of tests that start first exist."""

from tests.conftest import LONGEST_FILES
from tools import ROOT


def test_every_file_that_starts_first_exists():
    assert [name for name in LONGEST_FILES if not (ROOT / "tests" / name).is_file()] == []
