"""Make every variant of a published SavedModel that applies to it."""

import gc
import hashlib
import resource
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final, TypeAlias

from job.engine import runtime
from job.engine.ops.allowing import allow_ops
from job.engine.ops.op_library import load_op_libraries
from job.engine.run_errors import RUN_ERRORS, message_of
from job.engine.variants import VARIANTS
from job.engine.variants.base import FrozenGraph, NotApplicable, Pass, Rewritten, Variant
from job.engine.variants.compiling import check_compilable
from job.engine.variants.faithful import load_faithful
from job.engine.variants.freezing import check_size, freeze
from job.engine.variants.writing import VariantModel, write
from job.errors import JobError
from job.memory_cap import check_room
from job.requests import MakeVariantsRequest
from job.results import MadeVariant, MadeVariants

Passes: TypeAlias = tuple[Pass, ...]

COPIES: Final = 4
"""So often, at most, a variant's making and writing hold the constants, beside what loading took: 2 were seen."""


def make_variants(request: MakeVariantsRequest) -> MadeVariants:
    """Write each variant below the request's directory, under its name, or say why there is none.

    Raises nothing of what a model or a single variant meets: that is a reason.
    """
    runtime.configure("as_run", "cpu")
    load_op_libraries(request.options.op_libraries)
    allow_ops(request.options.allow_ops)
    wanted = _wanted(request)
    try:
        making = _Making(request)
    except (NotApplicable, *RUN_ERRORS) as error:
        reason = message_of(error)
        return MadeVariants(variants=tuple(_refused(variant, reason) for variant in wanted))
    return MadeVariants(
        variants=tuple(making.tried(variant, wanted[index:]) for index, variant in enumerate(wanted, 1))
    )


def _wanted(request: MakeVariantsRequest) -> list[Variant]:
    """Return the variants of this precision for this device."""
    return [
        variant
        for variant in VARIANTS
        if request.device in variant.devices and (request.precision == "reduced" or variant.precision == "exact")
    ]


def _refused(variant: Variant, reason: str) -> MadeVariant:
    return MadeVariant(name=variant.name, precision=variant.precision, reason=reason)


class _Making:
    """The model, loaded and frozen once, and what was made of it so far."""

    def __init__(self, request: MakeVariantsRequest) -> None:
        self._request = request
        self._faithful = load_faithful(request.saved_model)
        self._rewritten: dict[Passes, dict[str, Rewritten]] = {
            (): {served.key: (freeze(self._faithful, served), ()) for served in self._faithful.signatures}
        }
        graph_defs = [frozen.graph_def for frozen, _ in self._rewritten[()].values()]
        check_size(graph_defs)
        self._needed_bytes = COPIES * sum(graph_def.ByteSize() for graph_def in graph_defs)
        self._before_bytes = _most_held_bytes()
        self._known: dict[str, str] = {}

    def tried(self, variant: Variant, later: Sequence[Variant]) -> MadeVariant:
        """Return a variant, or why there is none; what those that come `later` have in common with it is kept."""
        try:
            self._check_room()
            return self._made(variant, later)
        except (NotApplicable, JobError) as error:
            return _refused(variant, str(error))
        except RUN_ERRORS as error:
            return _refused(variant, f"TensorFlow cannot write it: {message_of(error)}")
        finally:
            begins = {self._longest(other.passes) for other in later}
            self._rewritten = {passes: found for passes, found in self._rewritten.items() if passes in begins}
            gc.collect()  # functions and their graphs hold each other, with the constants

    def _check_room(self) -> None:
        """Raise `Poison` where memory may end; what earlier variants took and gave back is there for this one."""
        given_back_bytes = _most_held_bytes() - self._before_bytes
        needed_bytes = max(self._needed_bytes - given_back_bytes, 0)
        check_room("make_variants", needed_bytes, "its frozen graphs, with TensorFlow's copies of these, take")

    def _made(self, variant: Variant, later: Sequence[Variant]) -> MadeVariant:
        """Rewrite the signatures and write them, unless another variant did the same."""
        found = self._by(variant.passes, later)
        graphs = {key: frozen for key, (frozen, _) in found.items()}
        if variant.is_compiled:
            for served in self._faithful.signatures:
                check_compilable(served, graphs[served.key])
        earlier = self._known.setdefault(_digest(graphs, variant), variant.name)
        if earlier != variant.name:
            raise NotApplicable(f"there is nothing in it to change beyond {earlier}")
        model = VariantModel(self._faithful, graphs, is_compiled=variant.is_compiled)
        directory = str(Path(self._request.directory, variant.name))
        scratch, target_tf = self._request.saved_model, self._request.options.target_tf
        write(model, self._faithful, directory, scratch=scratch, target_tf=target_tf)
        changes = dict.fromkeys(change for _, said in found.values() for change in said)
        return MadeVariant(name=variant.name, precision=variant.precision, changes=tuple(changes))

    def _by(self, passes: Passes, later: Sequence[Variant]) -> dict[str, Rewritten]:
        """Return the signatures after some passes; what variants have in common is done once."""
        done = self._longest(passes)
        found = self._rewritten[done]
        shared = {_common(passes, other.passes) for other in later}
        for count in range(len(done), len(passes)):
            found = {key: self._after(passes[count], *before) for key, before in found.items()}
            if passes[: count + 1] in shared:
                self._rewritten[passes[: count + 1]] = found
        return found

    def _after(self, one: Pass, before: FrozenGraph, said: tuple[str, ...]) -> Rewritten:
        after, changes = one(before, self._request.device)
        return after, (*said, *changes)

    def _longest(self, passes: Passes) -> Passes:
        """Return how far these passes have been gone already."""
        return max((done for done in self._rewritten if passes[: len(done)] == done), key=len)


def _common(one: Passes, other: Passes) -> Passes:
    pairs = takewhile(lambda pair: pair[0] is pair[1], zip(one, other, strict=False))
    return tuple(first for first, _ in pairs)


def _most_held_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _digest(graphs: Mapping[str, FrozenGraph], variant: Variant) -> str:
    """Return what two variants have in common that run the same."""
    digest = hashlib.sha256(str(variant.is_compiled).encode())
    for key in sorted(graphs):
        digest.update(str(graphs[key].outputs).encode())
        digest.update(graphs[key].graph_def.SerializeToString(deterministic=True))
    return digest.hexdigest()
