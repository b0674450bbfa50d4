import pytest

from job.engine.interface.partial import with_the_good_ones
from job.errors import BadInput, JobError, LocalIOError, Refused

BAD = {"broken": BadInput("no tensor y"), "refused": Refused("op PyFunc", remedy="cut above it")}


def make(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what `BAD` names."""
    for key in keys:
        if key in BAD:
            raise BAD[key]
    return keys


def test_all_are_taken_where_all_are_good() -> None:
    """Nothing is said where nothing is wrong, and no key is asked for where there is none."""
    assert with_the_good_ones(("a", "b"), make) == (("a", "b"), ())
    assert with_the_good_ones((), make) == ((), ())


def test_bad_ones_are_left_out() -> None:
    """The others are made, and a finding names each bad one with its error and that one's remedy."""
    made, findings = with_the_good_ones(("a", "broken", "b", "refused"), make)
    assert made == ("a", "b")
    assert [(finding.code, finding.severity) for finding in findings] == [
        ("signature_broken", "warning"),
        ("signature_refused", "warning"),
    ]
    assert "no tensor y" in findings[0].cause
    assert findings[1].remedy == "cut above it"


@pytest.mark.parametrize("keys", [("broken",), ("refused", "broken")])
def test_first_error_counts_where_none_is_good(keys: tuple[str, ...]) -> None:
    """Without a good one there is nothing to convert."""
    with pytest.raises(JobError) as caught:
        with_the_good_ones(keys, make)
    assert caught.value is BAD[keys[0]]


def test_errors_of_all_together_are_raised() -> None:
    """What is wrong only with all together is no one's fault, and what is wrong with this machine is no signature's."""

    def never_two(keys: tuple[str, ...]) -> tuple[str, ...]:
        if len(keys) > 1:
            raise BadInput("they contradict")
        return keys

    def full(_: tuple[str, ...]) -> None:
        raise LocalIOError("no space")

    with pytest.raises(BadInput, match="contradict"):
        with_the_good_ones(("a", "b"), never_two)
    with pytest.raises(LocalIOError):
        with_the_good_ones(("a", "b"), full)
