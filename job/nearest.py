"""Near misses: what somebody may have meant who named a thing that is not there.

One rule for all names, of tensors, signatures, keys, artifacts and files: letters count in either case, and of a path
its last part alone may be what was meant, since people leave scopes and directories out.
"""

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import cache
from itertools import islice
from typing import Final

CUTOFF: Final = 0.6
"""How alike two names have to be, from 0 to 1; as `difflib` has it."""

COMPARED: Final = 20_000
"""So many names are looked at, within a second: a large graph's nodes."""

_QUESTION: Final = "did you mean"
_LAST_PART: Final = 0.95  # a whole name that is as much alike comes first


def nearest(name: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return those of the `known` names that are most like `name`, the best first; none where none is."""
    whole, last = _likeness_to(name), _likeness_to(_last_part(name))
    scored = ((max(whole(one), _LAST_PART * last(_last_part(one))), one) for one in islice(known, COMPARED))
    close = [pair for pair in scored if pair[0] >= CUTOFF]
    return [one for _, one in sorted(close, key=lambda pair: -pair[0])[:most]]


def meant(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the question whether the nearest name was meant; `otherwise` where there is none."""
    close = nearest(name, known)
    return f"{_QUESTION} {close[0]!r}?" if close else otherwise


def question(name: str) -> str:
    """Return the question whether `name` was meant, which is a place as it can be typed."""
    return f"{_QUESTION} {name}?"


def is_question(remedy: str) -> bool:
    """Tell whether an error's remedy asks whether something else was meant."""
    return remedy.startswith(_QUESTION)


def question_or(remedy: str, otherwise: str) -> str:
    """Return what an error's remedy asks, where it asks whether something else was meant; else `otherwise`."""
    return remedy if is_question(remedy) else otherwise


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _likeness_to(wanted: str) -> Callable[[str], float]:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted.casefold())

    @cache  # the last parts of a graph's names are few
    def likeness(text: str) -> float:
        matcher.set_seq1(text.casefold())
        bounds = (matcher.real_quick_ratio, matcher.quick_ratio)
        return 0.0 if any(bound() < CUTOFF for bound in bounds) else matcher.ratio()

    return likeness
