import pytest

from job.stopwatch import Stopwatch


def test_time_in_which_it_is_stopped_does_not_count() -> None:
    """An artifact that waits for others uses up nothing of its own; what fails meanwhile starts it again."""
    now = 10.0
    watch = Stopwatch(lambda: now)
    start = watch.now()
    now = 11.0
    with watch.stopped():
        now = 50.0
    with pytest.raises(KeyboardInterrupt), watch.stopped():
        raise KeyboardInterrupt
    now = 52.0
    assert watch.now() - start == 3.0
