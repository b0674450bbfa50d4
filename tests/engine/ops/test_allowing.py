from collections.abc import Iterator

import pytest

from job.engine.ops.allowable import PYTHON_OPS, check_allowable
from job.engine.ops.allowing import ALLOWED, allow_ops
from job.errors import UsageError


@pytest.fixture(autouse=True)
def _denied_again() -> Iterator[None]:
    """Deny again what a test allows."""
    yield
    allow_ops([])


def test_what_was_allowed_for_one_artifact_is_not_for_the_next() -> None:
    """A list takes the place of the one before."""
    allow_ops(["ReadFile", "WriteFile"])
    allow_ops(["Stage"])
    assert {"Stage"} == ALLOWED


def test_op_that_does_not_exist_is_told_with_the_one_that_was_meant() -> None:
    """A misspelt name must not look as if it had been allowed; what was allowed before stays as it was."""
    allow_ops(["Stage"])
    with pytest.raises(UsageError, match="there is no op 'ReedFile'") as caught:
        allow_ops(["ReedFile"])
    assert caught.value.remedy == "did you mean 'ReadFile'?"
    with pytest.raises(UsageError, match="Zzzzzz") as caught:
        allow_ops(["Zzzzzz"])
    assert "docs/ops.md" in caught.value.remedy
    assert {"Stage"} == ALLOWED


@pytest.mark.parametrize("op", sorted(PYTHON_OPS))
def test_python_body_cannot_be_allowed(op: str) -> None:
    """There is nothing to run: the message says so."""
    with pytest.raises(UsageError, match="its Python code is not in the file"):
        allow_ops([op])


def test_names_are_checked_without_tensorflow_as_well() -> None:
    """By the list of ops: a supervisor refuses a misspelt one before it starts anything."""
    check_allowable(["Stage", "ReadFile"])
    with pytest.raises(UsageError, match="did you mean 'ReadFile'"):
        check_allowable(["ReedFile"])
