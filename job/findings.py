"""Every code that a finding can have, once: codes are stable, so that scripts can rely on them.

``python -m job.findings`` prints them as the table of ``docs/findings.md``; a test holds both together.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, kw_only=True)
class FindingKind:
    """What a code means for any model, and what its owner does about it."""

    severity: Literal["info", "warning", "error"]
    meaning: str
    action: str


FINDINGS: Final[Mapping[str, FindingKind]] = {
    "architecture_assumed": FindingKind(
        severity="warning",
        meaning="A checkpoint without a graph does not tell this of its model; what the original code did was taken.",
        action="Compare with answers of the original, `samples` and `goldens` in the manifest, or give its graph by "
        "`--graph`.",
    ),
    "architecture_given": FindingKind(
        severity="info",
        meaning="The checkpoint had no graph; the function that `--architecture` names built it, and all names agree.",
        action="Nothing.",
    ),
    "architecture_original": FindingKind(
        severity="info",
        meaning="What the original code of a recognised architecture says of its input or its classes.",
        action="Prepare inputs so: preprocessing is no part of the model.",
    ),
    "architecture_recognised": FindingKind(
        severity="info",
        meaning="A checkpoint without a graph holds exactly the tensors of a known architecture, which was built.",
        action="Nothing; docs/architectures.md lists what is known.",
    ),
    "asset_found_beside": FindingKind(
        severity="info",
        meaning="The graph names a vocabulary by a path that is gone; a file of that name beside the model was taken.",
        action="Check that it is the right file; name another under `assets` in the manifest.",
    ),
    "averages_absent": FindingKind(
        severity="warning",
        meaning="Moving averages were asked for by `--ema on`, and the checkpoint holds none of the model's variables.",
        action="Convert the checkpoint that holds them, or leave out `--ema on`.",
    ),
    "averages_chosen": FindingKind(
        severity="warning",
        meaning="A checkpoint without a graph of its own holds a moving average of every trained variable; these were "
        "taken, as models that are trained so are evaluated so, and they differ from the weights.",
        action="`--ema off` takes the weights themselves.",
    ),
    "averages_unused": FindingKind(
        severity="info",
        meaning="The checkpoint holds moving averages of the weights; the graph reads the weights themselves.",
        action="Take the averages by `--ema on`, if it is these that the model was evaluated with.",
    ),
    "averages_used": FindingKind(
        severity="info",
        meaning="Variables have the values of their moving averages: it was asked for, or they are the same.",
        action="Nothing; `--ema off` takes the weights themselves.",
    ),
    "batch_fixed": FindingKind(
        severity="info",
        meaning="All inputs and outputs of a signature begin with one size: it takes batches of that size alone.",
        action="Try `--free-batch`, which frees it where that can be proven.",
    ),
    "batch_freed": FindingKind(
        severity="info",
        meaning="A batch that the export had fixed takes any size, as was asked for; examples agree at other sizes.",
        action="Nothing.",
    ),
    "batch_norm_inference": FindingKind(
        severity="info",
        meaning="Batch norm that was saved in training mode uses its moving statistics, as training left them.",
        action="Nothing; `--batch-norm as_saved` keeps it as it is.",
    ),
    "batch_norm_training": FindingKind(
        severity="warning",
        meaning="Batch norm was saved in training mode: an example's answer depends on the others in its batch.",
        action="`--batch-norm inference` where the artifact has the moving statistics; else export it again.",
    ),
    "batch_not_freed": FindingKind(
        severity="warning",
        meaning="A fixed batch could not be freed as was asked: shapes contradict, or examples differ at other sizes.",
        action="Fill the last batch up, or export the model again.",
    ),
    "defaults_kept": FindingKind(
        severity="info",
        meaning="A signature was added that takes no inputs for which the graph has a default, as TF1 allowed.",
        action="Call it, or give the inputs to `serving_default`.",
    ),
    "dropout_switched_off": FindingKind(
        severity="warning",
        meaning="Dropout was saved switched on, so that the graph answers differently each time; it was switched off.",
        action="Nothing, if the model is for inference: that is what was meant; `--dropout as_saved` keeps it.",
    ),
    "examples_signature": FindingKind(
        severity="info",
        meaning="An Estimator's training graph: `predict`, which parses serialized examples, was added as its exports "
        "have it; the features were read off the feature columns, and the cause lists them.",
        action="Check them against `make_parse_example_spec`; parity runs the added parser on both sides.",
    ),
    "examples_signature_left_out": FindingKind(
        severity="info",
        meaning="An Estimator's training graph whose features cannot all be told, or not for sure.",
        action="Give `serving_default` what the input pipeline gave, or export by `export_saved_model`.",
    ),
    "extra_assets_left_out": FindingKind(
        severity="info",
        meaning="The SavedModel holds files for a server in `assets.extra`, such as warm-up requests: not published.",
        action="Copy them beside the new model if your server reads them.",
    ),
    "fake_quantised": FindingKind(
        severity="info",
        meaning="Quantisation-aware training left ops that round to few bits in floating point; they are kept.",
        action="Nothing; a converter to TFLite reads its ranges from them.",
    ),
    "graph_given": FindingKind(
        severity="info",
        meaning="The checkpoint had no graph; it was paired with the one that `--graph` names.",
        action="Nothing.",
    ),
    "graph_of_another": FindingKind(
        severity="info",
        meaning="A checkpoint has no graph of its own; the MetaGraph of one with the same weights, or of another step "
        "with the same variables, was taken.",
        action="Nothing; name another graph by `--graph`, if it is not that one.",
    ),
    "half_precision": FindingKind(
        severity="info",
        meaning="Weights have 16 bits; they are kept so, and results agree to that type's precision.",
        action="Nothing.",
    ),
    "host_ops_left_out": FindingKind(
        severity="info",
        meaning="The graph holds ops that the job does not run: none of its outputs needs them, and they are left out.",
        action="Nothing; docs/ops.md says which ops may run.",
    ),
    "interface_guessed": FindingKind(
        severity="info",
        meaning="The graph has no signature; inputs and outputs were found by looking at what it computes.",
        action="Check them; name `inputs` and `outputs` in the manifest to choose others.",
    ),
    "keras_file": FindingKind(
        severity="info",
        meaning="A run has written `model.keras` beside the SavedModel, for Keras 3, and it answers the same.",
        action="Load it by `keras.saving.load_model`, or use the SavedModel.",
    ),
    "keras_file_left_out": FindingKind(
        severity="info",
        meaning="Keras 3 cannot hold the model exactly, so that there is no `model.keras` beside the SavedModel.",
        action="Use the SavedModel; in Keras 3, `keras.layers.TFSMLayer` loads it.",
    ),
    "keras_stateful": FindingKind(
        severity="info",
        meaning="A recurrent layer is stateful: every call begins where the one before ended, as in Keras.",
        action="Load the SavedModel anew to begin from zero, or save the model with `stateful=False`.",
    ),
    "keras_theano": FindingKind(
        severity="warning",
        meaning="The model was trained with Theano; its convolution kernels were turned round for TensorFlow.",
        action="Give recorded answers as `samples` and `goldens` in the manifest: Theano itself cannot be run.",
    ),
    "made_for_target": FindingKind(
        severity="info",
        meaning="The model holds only ops, attributes and dtypes that the TensorFlow of `--target-tf` knows.",
        action="Nothing; without that option the TensorFlow that converts is the oldest that is sure to load it.",
    ),
    "op_allowed": FindingKind(
        severity="warning",
        meaning="The model runs an op that is denied, as was asked for by `--allow-op`.",
        action="Load it only where you would run a program of its author: the published model has no sandbox.",
    ),
    "op_library_loaded": FindingKind(
        severity="warning",
        meaning="Ops of a shared library were loaded, as was asked for.",
        action="Whoever loads the SavedModel calls `tf.load_op_library` with that library first.",
    ),
    "op_rewritten": FindingKind(
        severity="info",
        meaning="An op that this TensorFlow cannot run was rewritten with ops that can, by a proven equality.",
        action="Give recorded answers as `goldens` in the manifest: parity has no original to compare with.",
    ),
    "prefix_assumed": FindingKind(
        severity="warning",
        meaning="All names in the checkpoint and in the graph that was given differ by a prefix, which was put right.",
        action="Check that the graph is the model's: nothing but the prefix differs.",
    ),
    "quantised_weights": FindingKind(
        severity="info",
        meaning="Weights are stored in 8 bits and dequantised at run time.",
        action="Nothing; convert the original weights if you have them and want the speed.",
    ),
    "random_in_graph": FindingKind(
        severity="warning",
        meaning="Random numbers are drawn at inference: the same input gets another answer each time.",
        action="Nothing, if the model samples; for noise of training, try `--dropout off`, "
        "or export the inference graph.",
    ),
    "rule_applied": FindingKind(
        severity="info",
        meaning="A rule of `--rules` renamed tensors of the checkpoint, or left them out; each is named.",
        action="Nothing.",
    ),
    "rule_unused": FindingKind(
        severity="warning",
        meaning="A rule of `--rules` matched nothing.",
        action="Correct it, or take it out.",
    ),
    "second_signature": FindingKind(
        severity="info",
        meaning="A signature was added that takes parsed features or decoded data; the model's own are as they were.",
        action="Call it instead of its own one, if you hold those and not serialized examples or files.",
    ),
    "second_signature_left_out": FindingKind(
        severity="info",
        meaning="No signature behind a parser or decoder could be added, or it could not be proven.",
        action="Nothing; name `inputs` and `outputs` in the manifest to begin elsewhere.",
    ),
    "signature_broken": FindingKind(
        severity="warning",
        meaning="A signature names what is not in the graph, or cannot be computed; the others were converted.",
        action="Nothing, if nobody calls it; else export the model again.",
    ),
    "signature_refused": FindingKind(
        severity="warning",
        meaning="A signature needs an op that this job does not run; the others were converted.",
        action="Nothing, if nobody calls it; else export the model again without that op.",
    ),
    "source_unverified": FindingKind(
        severity="warning",
        meaning="Nobody told a checksum of some files, so that a flipped bit would not show.",
        action="Store the objects with checksums, put `FILE.sha256` beside each, or list `sha256` in the manifest.",
    ),
    "state_not_asked": FindingKind(
        severity="info",
        meaning="The graph has no signature, and what depends on its state alone was not taken for a result.",
        action="Name it under `outputs` in the manifest, beside the others, if the model is asked for it.",
    ),
    "state_on_constant": FindingKind(
        severity="warning",
        meaning="The graph was frozen with ops that write to constants, which cannot run; they are variables again.",
        action="Freeze the graph without its assignments, or load the model anew for the frozen state.",
    ),
    "statistics_untrained": FindingKind(
        severity="warning",
        meaning="Moving statistics of batch norm are at their initial values: the training did not run its update ops.",
        action="Train again with `UPDATE_OPS`, or recompute the statistics from data.",
    ),
    "tags_chosen": FindingKind(
        severity="info",
        meaning="The SavedModel holds several MetaGraphs; the one for serving was taken.",
        action="Name others by `tags` in the manifest.",
    ),
    "tensors_left_over": FindingKind(
        severity="warning",
        meaning="The checkpoint holds tensors that are no variables of the given graph, nor slots or averages.",
        action="Check that the graph is the whole model's.",
    ),
    "training_graph": FindingKind(
        severity="info",
        meaning="The artifact is the graph that trained the model; what only training needs is left out.",
        action="Nothing.",
    ),
    "training_switch_bound": FindingKind(
        severity="info",
        meaning="The graph is fed whether it trains (`is_training`, `keep_prob`, learning phase); inference was fixed.",
        action="Nothing for inference; to keep it open, name it among `inputs`, and `outputs`, in the manifest.",
    ),
    "warm_up_left_out": FindingKind(
        severity="info",
        meaning="`--serving-warmup` asked for requests, and this SavedModel has none, for the reason that is given.",
        action="Record requests of your own where a server's first answers take too long: docs/serving.md.",
    ),
    "warm_up_written": FindingKind(
        severity="info",
        meaning="The SavedModel holds requests that TF Serving asks while it loads it; each was answered here.",
        action="Nothing.",
    ),
}


def as_markdown() -> str:
    """Return the table of ``docs/findings.md``."""
    return "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    yield "| code | severity | means | what to do |"
    yield "|---|---|---|---|"
    for code, kind in sorted(FINDINGS.items()):
        yield f"| `{code}` | {kind.severity} | {kind.meaning} | {kind.action} |"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
