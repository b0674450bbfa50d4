"""Which models a server is to have, by the names of what is published."""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from job.errors import UsageError

VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
"""What TF Serving reads as a positive int64, written in one way."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A model to serve: its newest artifact, and the least version that it may have."""

    model: str
    artifact: str
    first: int = 1


def chosen_of(artifacts: Mapping[str, object]) -> Iterator[Chosen]:
    """Yield the models among artifacts; ``net/7`` and ``net/8`` are what servers had as versions of ``net``.

    Of these the highest is served, and its version is no less than it was. Raises `UsageError` where one model would
    lie in what a server takes for a version of another.
    """
    newest = dict[str, Chosen]()
    for artifact in sorted(artifacts):
        above, _, last = artifact.rpartition("/")
        one = Chosen(model=artifact, artifact=artifact)
        if above not in artifacts and above and VERSION.fullmatch(last):
            one = Chosen(model=above, artifact=artifact, first=int(last))
        if one.model not in newest or one.first > newest[one.model].first:
            newest[one.model] = one
    for one in newest.values():
        _check_apart(one, newest)
    yield from newest.values()


def _check_apart(chosen: Chosen, models: Container[str]) -> None:
    parts = chosen.model.split("/")
    for depth, part in enumerate(parts):
        above = "/".join(parts[:depth])
        if above in models and VERSION.fullmatch(part):
            what = f"to a server {above}/{part} is a version of {above}, which is a model, too"
            raise UsageError(what, where=chosen.artifact, remedy="export them to different targets, by --only")
