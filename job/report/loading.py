"""The lines of Python that load a published model, with its own signature and argument names."""

import json
from typing import Final

from job.records import ArtifactReport, Signature, TensorSpec

DEFAULT_SIGNATURE: Final = "serving_default"


def loading_lines(report: ArtifactReport) -> tuple[str, ...]:
    """Return a program that runs beside the report; nothing where no model lies there."""
    if report.error is not None or report.summary is None or not report.summary.signatures:
        return ()
    signature = _default(report.summary.signatures)
    return (
        "import tensorflow as tf",
        'model = tf.saved_model.load("saved_model")',
        f"serve = model.signatures[{json.dumps(signature.key)}]",
        f"answers = serve({_arguments(signature)})",
        f"print({', '.join(f'answers[{json.dumps(output.key)}]' for output in signature.outputs)})",
    )


def _default(signatures: tuple[Signature, ...]) -> Signature:
    return next((signature for signature in signatures if signature.key == DEFAULT_SIGNATURE), signatures[0])


def _arguments(signature: Signature) -> str:
    """Write arguments by keyword where their names allow it; TensorFlow takes them no other way."""
    if all(spec.key.isidentifier() for spec in signature.inputs):
        return ", ".join(f"{spec.key}={_example(spec)}" for spec in signature.inputs)
    return "**{" + ", ".join(f"{json.dumps(spec.key)}: {_example(spec)}" for spec in signature.inputs) + "}"


def _example(spec: TensorSpec) -> str:
    """Write a tensor of the smallest shape that fits: every free dimension is 1."""
    shape = [1] if spec.shape is None else [1 if size is None else size for size in spec.shape]
    return f'tf.fill({shape}, "")' if spec.dtype == "string" else f"tf.zeros({shape}, tf.{spec.dtype})"
