import inspect
import re

import pytest

from job import errors
from job.errors import ERRORS, PRECEDENCE, Internal, JobError, Transient, exit_code_of, from_record
from job.records import ErrorRecord


def test_every_error_is_in_the_list_and_in_the_precedence_once() -> None:
    """An error that is not in `ERRORS` comes out of a worker as `Internal`, one without precedence ends a run as 0."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, JobError)]
    concrete = {kind for kind in kinds if kind not in (JobError, Transient)}
    assert concrete == set(ERRORS)
    broad = [kind for kind in ERRORS if kind.__bases__[0] in (JobError, Transient)]  # others share their base's code
    assert sorted(kind.exit_code for kind in broad) == sorted(PRECEDENCE)
    assert len({kind.code_name for kind in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code_name)
def test_code_says_whether_to_try_again(kind: type[JobError]) -> None:
    """Batch engines retry ``7*`` and give up on ``4*``: the class must lie in the range that its kind has."""
    assert issubclass(kind, Transient) == (70 <= kind.exit_code <= 79)
    assert kind.exit_code == 2 or 40 <= kind.exit_code <= 49 or issubclass(kind, Transient)


def test_tree_in_the_docstring_shows_the_codes() -> None:
    """The drawing at the head of the module is what people read first: its codes are the true ones."""
    drawn = dict(re.findall(r"─ (\w+) +(\d+) ", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(kind.exit_code) for kind in ERRORS}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code_name)
def test_error_survives_the_way_out_of_a_worker(kind: type[JobError]) -> None:
    """Class and all three parts are the same after a record has carried them."""
    error = kind("what", where="where", remedy="remedy")
    back = from_record(error.to_record(stage="convert"))
    assert type(back) is kind
    assert (str(back), back.to_record()) == ("what; where; remedy", error.to_record())


def test_unknown_record_is_internal() -> None:
    """A worker of another version may send a name that we do not know: that is a bug, and no success."""
    assert type(from_record(ErrorRecord(exit_code=99, code_name="novel", what="x"))) is Internal


def test_message_is_one_line_without_empty_parts() -> None:
    """Whatever third parties say, a message is one line and has no empty parts."""
    assert str(JobError("one\n  two\ttabs", remedy="do\nthis")) == "one two tabs; do this"


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((), 0),
        ((0, 0), 0),
        ((0, 40, 0), 40),
        ((40, 42, 41), 42),
        ((40, 41), 41),
        ((47, 42), 47),
        ((47, 74), 74),
        ((74, 44), 44),
        ((2, 75), 2),
        ((44, 2), 44),
        ((75, 42, 0), 75),
        ((1,), 1),
        ((1, 40), 40),
    ],
)
def test_exit_code_of_mixed_ends(codes: tuple[int, ...], code: int) -> None:
    """44 before 2 before 7x before 42 before 41 before 40 (faults §2), and nothing unknown is a success."""
    assert exit_code_of(codes) == code
