"""Where everything lies below a destination.

    <artifact>/<plan>/<attempt>/…           saved_model/, model.keras, report.html, report.json, log.jsonl
    <artifact>/<plan>/commit.json           create-only, last; lists every file of one attempt
    <artifact>/latest.json                  names the commit that the attempt which began last has made or met
    _failed/<artifact>/<plan>/<attempt>/…   the report of what was not published
    _runs/<run>/…                           what each shard of a run ended with

Plans and attempts are twelve hexadecimal digits.
"""

import re
from collections.abc import Container, Iterator
from typing import Final

from job.records import Commit

COMMIT: Final = "commit.json"
LATEST: Final = "latest.json"
FAILED: Final = "_failed"
UNPLANNED: Final = "unplanned"
"""Stands for the plan of an artifact that failed before its plan was known."""

MODEL_FILE: Final = "saved_model.pb"
"""A directory is a SavedModel from when this is there."""

REPORT_FILES: Final = ("report.json", "report.html", "log.jsonl")

_PLAN_CHARACTERS: Final = 12  # of the plan's 64, in paths
_HEX: Final = r"[0-9a-f]{12}"
_FILES: Final = r"saved_model(_fast)?/.+|model\.keras|report\.json|report\.html|log\.jsonl"
_COMMIT_KEY: Final = re.compile(rf"(.+/)?{_HEX}/commit\.json", re.DOTALL)
_PLACE: Final = rf"(.+?/)?({_HEX}|{UNPLANNED})/{_HEX}"
_ATTEMPT_FILE: Final = re.compile(rf"(?P<place>{_PLACE})/({_FILES})", re.DOTALL)


def home_of(artifact: str, plan: str) -> str:
    """Return the directory of a plan's commit and attempts, below the destination."""
    return f"{artifact}/{plan[:_PLAN_CHARACTERS]}"


def place_of(commit: Commit) -> str:
    """Return the directory of the commit's files, below the destination."""
    return f"{home_of(commit.artifact, commit.plan)}/{commit.attempt}"


def failed_place(artifact: str, plan: str, attempt: str) -> str:
    """Return the directory of a failed attempt's report; `plan` is empty where it failed before that was known."""
    return f"{FAILED}/{home_of(artifact, plan or UNPLANNED)}/{attempt}"


def may_be_commit(key: str) -> bool:
    """Tell whether a commit may lie at `key`; so may an asset of that name in a model."""
    return _COMMIT_KEY.fullmatch(key) is not None


def is_ours(key: str, place: str) -> bool:
    """Tell whether the job itself writes such a key for the attempt at `place`; all else is somebody else's."""
    is_place = re.fullmatch(_PLACE, place, re.DOTALL) is not None
    return is_place and re.fullmatch(_FILES, key.removeprefix(f"{place}/"), re.DOTALL) is not None


def place_in(key: str, homes: Container[str] = ()) -> str:
    """Return the attempt that a key belongs to, empty if to none; `homes` are the plans that have a commit.

    The innermost of these decides: a model's name, or a file in a model, may look like a plan.
    """
    home = next((above for above in _above(key) if above in homes), "")
    if home:
        attempt, slash, _ = key.removeprefix(f"{home}/").partition("/")
        return f"{home}/{attempt}" if slash else ""
    found = _ATTEMPT_FILE.fullmatch(key)
    return found["place"] if found else ""


def is_report(place: str) -> bool:
    """Tell whether the attempt at `place` failed, and left its report alone."""
    return place.startswith(f"{FAILED}/")


def _above(key: str) -> Iterator[str]:
    """Yield the directories that a key lies in, the innermost first."""
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key
