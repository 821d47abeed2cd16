"""Full jitter below a ceiling that doubles."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.backoff import Backoff


def test_the_ceiling_doubles_until_it_is_reached() -> None:
    backoff = Backoff(0.5, 5.0)

    assert [backoff.seconds(failures, 1.0) for failures in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(failures=st.integers(1, 10**9), chance=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_the_ceiling_however_long_it_has_failed(failures: int, chance: float) -> None:
    assert 0 <= Backoff(0.2, 20.0).seconds(failures, chance) <= 20.0
