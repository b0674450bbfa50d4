import pytest

from job.console.pace import FEWEST, LOOK_S, WINDOW_S, Pace, Rate


def test_a_rate_is_that_of_the_last_seconds() -> None:
    """What was quick a minute ago says nothing of how long the rest takes."""
    rate = Rate()
    for second in range(60):
        rate.note(second, 1_000_000 if second < 30 else 1_000_000 + (second - 30) * 10)
    assert rate.bytes_per_s == pytest.approx(10)
    assert rate.moved_bytes == 1_000_290


def test_there_is_no_rate_of_one_look() -> None:
    """Nor a negative one, where a part has to go out once more."""
    rate = Rate()
    rate.note(0, 5)
    assert rate.bytes_per_s == 0
    rate.note(1, 3)
    assert rate.bytes_per_s == 0


def test_a_rate_is_looked_at_when_it_is_due() -> None:
    """A display is drawn more often than it is worth asking a file system."""
    rate = Rate()
    assert rate.is_due(0)
    rate.note(0, 0)
    assert not rate.is_due(LOOK_S / 2)
    assert rate.is_due(LOOK_S)
    assert LOOK_S < WINDOW_S


def test_nothing_is_said_of_the_time_left_before_some_have_ended() -> None:
    """Two artifacts are no basis for a guess."""
    pace = Pace()
    for _ in range(FEWEST - 1):
        pace.ended(10)
    assert pace.left_s(20, 100) is None


def test_equal_artifacts_make_a_certain_guess() -> None:
    """Three in ten seconds each, one after another, with three to come: half a minute."""
    pace = Pace()
    for _ in range(3):
        pace.ended(10)
    assert pace.left_s(30, 3) == (30, 30)


def test_artifacts_at_once_count_as_they_did() -> None:
    """Of four lanes each artifact takes ten seconds, and four end in that time."""
    pace = Pace()
    for _ in range(8):
        pace.ended(10)
    assert pace.left_s(20, 8) == (20, 20)


def test_unequal_artifacts_make_an_honest_interval() -> None:
    """Where one takes a hundred times another, the guess says so; it knows more with each that ends."""
    few, many = Pace(), Pace()
    for wall_s in (1, 100, 1, 100):
        few.ended(wall_s)
    for wall_s in (1, 100) * 50:
        many.ended(wall_s)
    least_s, most_s = few.left_s(202, 100) or (-1, -1)
    assert least_s == 0
    assert most_s == pytest.approx(2 * 5050, rel=0.3)
    low_s, high_s = many.left_s(5050, 100) or (0, 0)
    assert 3000 < low_s < 5050 < high_s < 7000


def test_a_run_that_only_skips_is_told_without_a_division_by_zero() -> None:
    """What was published before may end within the clock's resolution."""
    pace = Pace()
    for _ in range(5):
        pace.ended(0)
    assert pace.left_s(0, 5) == (0, 0)
