"""What the jobs of a round convert, and with which stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.chaos.shelves import Shelf
from tests.jobs import GOLDENS, JOB, with_stages
from tests.sources import GRAPH_DEF, VERSIONS, checkpoint, node, saved_model

Engine = Literal["fake", "tensorflow"]

PROGRAMS: Final[Mapping[Engine, tuple[str, ...]]] = {"fake": with_stages("tests.chaos.stages"), "tensorflow": JOB}


@dataclass(frozen=True, kw_only=True)
class Lot:
    """Objects, the names of the artifacts that they are, and, where it is known, what each one's model must be."""

    objects: Mapping[str, bytes]
    artifacts: frozenset[str]
    models: Mapping[str, bytes] = field(default_factory=dict)

    def put(self, shelf: Shelf) -> None:
        """Lay the objects out as a source."""
        for key, data in self.objects.items():
            shelf.put(f"in/{key}", data)


def one_of_each(seed: int) -> Lot:
    """Return two frozen graphs, one of them of 1 MB, a SavedModel and a checkpoint, for fake stages."""
    large = b"".join(node(f"n{seed}_{number}") for number in range(30_000)) + VERSIONS
    frozen = {"small.pb": GRAPH_DEF + node(f"n{seed}"), "large.pb": large}
    return Lot(
        objects=frozen | saved_model("saved/saved_model/") | checkpoint("trained/model.ckpt-1"),
        artifacts=frozenset({"small.pb", "large.pb", "saved/saved_model", "trained/model.ckpt-1"}),
        models=frozen,
    )


def two_small() -> Lot:
    """Return two frozen graphs for fake stages."""
    models = {"a.pb": GRAPH_DEF, "b.pb": GRAPH_DEF + node("z")}
    return Lot(objects=models, artifacts=frozenset(models), models=models)


def two_goldens() -> Lot:
    """Return a frozen graph and a checkpoint that TF 1.15.5 wrote."""
    folders = ("cond_frozen", "ref_variables_checkpoint")
    paths = [path for folder in folders for path in (GOLDENS / folder).rglob("*") if path.is_file()]
    return Lot(
        objects={path.relative_to(GOLDENS).as_posix(): path.read_bytes() for path in paths},
        artifacts=frozenset({"cond_frozen/frozen.pb", "ref_variables_checkpoint/model.ckpt-0"}),
    )
