"""What a model is fed where its speed is measured: one example that the TF1 graph accepts, repeated to a batch."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from job.engine.runners import Baseline
from job.engine.samples.making import Sample, candidates, recorded
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Signature, TensorSpec

Array = NDArray[Any]

NO_SAMPLE: Final = "no sample that the TF1 graph accepts could be made"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A signature with one sample that its TF1 graph accepts."""

    signature: Signature
    sample: Sample

    def batch(self, size: int) -> list[Array]:
        """Return a batch of the sample's first example; what is no batch stays as it is."""
        return [
            np.repeat(feed[:1], size, axis=0) if feed.ndim and _is_batched(spec) else feed
            for feed, spec in zip(self.sample.feeds, self.signature.inputs, strict=True)
        ]

    def sizes(self, wanted: Sequence[int]) -> Sequence[int]:
        """Return the batch sizes to measure; where no input's is free, the one that the signature takes."""
        specs = self.signature.inputs
        if any(map(_is_batched, specs)):
            return wanted
        return (max((spec.shape[0] or 1 for spec in specs if spec.shape), default=1),)


def accepted(source: SourceGraph, options: ArtifactOptions, seed: int) -> Inputs | None:
    """Return the first signature and sample that the TF1 graph accepts; `None` where it accepts none.

    They are tried on a baseline of their own, closed before anything that is measured is loaded: none of
    that has run when its first call is timed, nor pays for what a process does once.
    """
    with closing(Baseline(source, "as_run")) as trial:
        pairs = (
            (signature, sample)
            for signature in map(source.exported, source.signatures)
            for sample in _samples(source, signature, options, seed)
        )
        found = next((pair for pair in pairs if _accepts(trial, *pair)), None)
    return Inputs(signature=found[0], sample=found[1]) if found else None


def _accepts(baseline: Baseline, signature: Signature, sample: Sample) -> bool:
    try:
        baseline.run(signature, sample.feeds)
    except (tf.errors.OpError, ValueError):
        return False
    return True


def _samples(source: SourceGraph, signature: Signature, options: ArtifactOptions, seed: int) -> Iterable[Sample]:
    if options.samples:
        return (recorded(options.samples, signature),)
    return next(iter(candidates(source, signature, seed)))


def _is_batched(spec: TensorSpec) -> bool:
    return spec.shape is None or (spec.shape != () and spec.shape[0] is None)
