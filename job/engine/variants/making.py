"""Make every variant of a published SavedModel that applies to it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from job.engine import runtime
from job.engine.run_errors import RUN_ERRORS, message_of
from job.engine.variants import VARIANTS
from job.engine.variants.base import FrozenGraph, NotApplicable, Pass, Rewritten, Variant
from job.engine.variants.compiling import check_compilable
from job.engine.variants.faithful import load_faithful
from job.engine.variants.freezing import check_size, freeze
from job.engine.variants.writing import VariantModel, write
from job.errors import JobError
from job.requests import MakeVariantsRequest
from job.results import MadeVariant, MadeVariants


def make_variants(request: MakeVariantsRequest) -> MadeVariants:
    """Write each variant below the request's directory, under its name, or say why there is none.

    Raises nothing of what a model or a single variant meets: that is a reason.
    """
    runtime.configure("as_run", "cpu")
    try:
        making = _Making(request)
    except (NotApplicable, *RUN_ERRORS) as error:
        reason = message_of(error)
        return MadeVariants(variants=tuple(_refused(variant, reason) for variant in _wanted(request)))
    return MadeVariants(variants=tuple(map(making.tried, _wanted(request))))


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
        self._rewritten: dict[tuple[str, tuple[Pass, ...]], Rewritten] = {
            (served.key, ()): (freeze(self._faithful, served), ()) for served in self._faithful.signatures
        }
        check_size(frozen.graph_def for frozen, _ in self._rewritten.values())
        self._known: dict[str, str] = {}

    def tried(self, variant: Variant) -> MadeVariant:
        """Return a variant, or why there is none."""
        try:
            return self._made(variant)
        except NotApplicable as error:
            return _refused(variant, str(error))
        except (JobError, *RUN_ERRORS) as error:
            return _refused(variant, f"TensorFlow cannot write it: {message_of(error)}")

    def _made(self, variant: Variant) -> MadeVariant:
        """Rewrite the signatures and write them, unless another variant did the same."""
        found = {served.key: self._by(served.key, variant.passes) for served in self._faithful.signatures}
        graphs = {key: frozen for key, (frozen, _) in found.items()}
        if variant.is_compiled:
            for served in self._faithful.signatures:
                check_compilable(served, graphs[served.key])
        earlier = self._known.setdefault(_digest(graphs, variant), variant.name)
        if earlier != variant.name:
            raise NotApplicable(f"there is nothing in it to change beyond {earlier}")
        model = VariantModel(self._faithful, graphs, is_compiled=variant.is_compiled)
        directory = str(Path(self._request.directory, variant.name))
        scratch, target_tf = self._request.saved_model, self._request.target_tf
        write(model, self._faithful, directory, scratch=scratch, target_tf=target_tf)
        changes = dict.fromkeys(change for _, said in found.values() for change in said)
        return MadeVariant(name=variant.name, precision=variant.precision, changes=tuple(changes))

    def _by(self, key: str, passes: tuple[Pass, ...]) -> Rewritten:
        """Return a signature after some passes; what variants have in common is done once."""
        if (key, passes) not in self._rewritten:
            before, said = self._by(key, passes[:-1])
            after, changes = passes[-1](before, self._request.device)
            self._rewritten[key, passes] = (after, (*said, *changes))
        return self._rewritten[key, passes]


def _digest(graphs: Mapping[str, FrozenGraph], variant: Variant) -> str:
    """Return what two variants have in common that run the same."""
    digest = hashlib.sha256(str(variant.is_compiled).encode())
    for key in sorted(graphs):
        digest.update(str(graphs[key].outputs).encode())
        digest.update(graphs[key].graph_def.SerializeToString(deterministic=True))
    return digest.hexdigest()
