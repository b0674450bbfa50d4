import math
from typing import Any

import pytest

from job.accepting import check
from job.errors import UsageError
from job.settings import Settings


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"device": "gup"}, "device='gup' is none of auto, cpu, gpu; did you mean 'gpu'?"),
        ({"tolerance": -1.0}, "tolerance=-1.0 is less than 0; the options are in the help of python -m job run"),
        ({"tolerance": math.nan}, "tolerance=nan is not a number"),
        ({"tolerance": "1e-5"}, "tolerance='1e-5' is no float"),
        ({"lanes": 0}, "lanes=0 is less than 1"),
        ({"lanes": True}, "lanes=True is no int"),
        ({"seed": 1.5}, "seed=1.5 is no int"),
        ({"only": None}, "only=None is no str"),
        ({"all_forms": 1}, "all_forms=1 is no bool"),
        ({"allow_op": "ReadFile"}, "allow_op='ReadFile' is no tuple of texts"),
        ({"allow_op": (1,)}, "allow_op=(1,) is no tuple of texts"),
    ],
)
def test_what_the_command_line_refuses_is_refused(said: dict[str, Any], told: str) -> None:
    """Python code gets past a parser's checks: a wrong value is told in one line before any work."""
    with pytest.raises(UsageError) as refused:
        check(Settings(**said))
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    "said", [{}, {"tolerance": 0}, {"lanes": 2}, {"allow_op": ("ReadFile",)}, {"target_tf": "2.4"}, {"all_forms": True}]
)
def test_what_the_command_line_takes_is_taken(said: dict[str, Any]) -> None:
    """A whole number is a number, and what may be absent may be there."""
    check(Settings(**said))
