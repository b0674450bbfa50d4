"""Runs VGG-11, VGG-16 and VGG-19 as TensorFlow 1.15.5 itself holds them: an eighth as wide, and one of them whole.

``python3.7 -m tests.architectures.make.vgg`` from the repository's root.
"""

from __future__ import annotations  # Python 3.7 runs this

from collections.abc import Sequence
from typing import Any

from tensorflow.contrib import layers, slim  # noqa: TID253 - 1.15.5 runs the originals
from tensorflow.contrib.framework.python.ops import add_arg_scope  # noqa: TID253 - as before
from tensorflow.contrib.slim.python.slim.nets import vgg  # noqa: TID253 - as before

from tests.architectures.make import recording

ORIGIN = "TensorFlow 1.15.5 tensorflow.contrib.slim.nets.vgg."
NOTES = "preprocessing: RGB less (123.68,116.78,103.94); no class for the background; fc6 to fc8 are convolutions"
SIZES = (224, 225)
CLASSES = 1000
DIVISOR = 8


def main() -> None:
    """Write every case; the narrow ones first, since the whole one needs 2 GB."""
    vgg.layers = Narrow
    for name, sizes in (("vgg_a", SIZES[:1]), ("vgg_16", SIZES), ("vgg_19", SIZES[:1])):
        write(f"{name}_narrow", name, sizes, "; every width but that of fc8 is an eighth of the original's")
    vgg.layers = layers
    write("vgg_16", "vgg_16", SIZES[:1], "")


class Narrow:
    """Stands in for ``tensorflow.contrib.layers`` in the original's module: its convolutions are narrower."""

    @staticmethod
    @add_arg_scope  # type: ignore[untyped-decorator]  # TensorFlow's
    def conv2d(inputs: Any, num_outputs: int, kernel_size: Sequence[int], **options: Any) -> Any:
        """Convolve to an eighth of the channels, but for those of the classes."""
        width = num_outputs if num_outputs == CLASSES else num_outputs // DIVISOR
        return layers.conv2d(inputs, width, kernel_size, **options)


def write(case: str, name: str, sizes: Sequence[int], note: str) -> None:
    """Write a case; published checkpoints hold the mean colour and the step besides."""

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        with slim.arg_scope(vgg.vgg_arg_scope()):
            logits, _ = getattr(vgg, name)(inputs["images"], CLASSES, is_training=False)
        return {"logits": logits}

    variables, answers = recording.of_images(build, sizes)
    extras: dict[str, list[int]] = {f"{name}/mean_rgb": [3], "global_step": []}
    description = recording.describe_images(
        ORIGIN + name, variables, sizes, NOTES + note, extras=extras, classes=CLASSES
    )
    recording.write(case, description, answers)


if __name__ == "__main__":
    main()
