"""Faster forms of a converted model, one file for each way to make one."""

from typing import Final

from job.engine.variants.base import Device, Variant
from job.engine.variants.constants import fold_constants
from job.engine.variants.fold_batch_norm import fold_batch_norm
from job.engine.variants.fold_before import fold_before
from job.engine.variants.layout import channels_last
from job.engine.variants.reduced import to_bfloat16, to_half
from job.engine.variants.tidying import tidy

CONSTANT: Final = (tidy, fold_constants)
GPU: Final[frozenset[Device]] = frozenset({"gpu"})
FOLDED: Final = (*CONSTANT, fold_batch_norm, fold_before, fold_batch_norm, channels_last)
"""None merges a Pad into the convolution behind it: on a CPU with oneDNN that gains nothing (0.96 to 1.04 in CPU time),
and TensorFlow 2.21 aborts in Grappler on a depthwise convolution with explicit paddings."""

VARIANTS: Final = (
    Variant(name="constants", precision="exact", passes=CONSTANT),
    Variant(name="folded", precision="exact", passes=FOLDED),
    Variant(name="folded_bf16", precision="reduced", passes=(*FOLDED, to_bfloat16)),
    Variant(name="folded_fp16", precision="reduced", passes=(*FOLDED, to_half), devices=GPU),
    Variant(name="folded_xla", precision="exact", passes=FOLDED, devices=GPU, is_compiled=True),
    Variant(name="folded_fp16_xla", precision="reduced", passes=(*FOLDED, to_half), devices=GPU, is_compiled=True),
)
"""From plain to bold; of two that make the same of a model only the first one is made."""
