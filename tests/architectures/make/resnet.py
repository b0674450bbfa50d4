"""Runs the originals of every ResNet scheme in TensorFlow 1.15.5, and writes their names, shapes and logits.

``python3.7 -m tests.architectures.make.resnet FOLDER [CASE ...]`` from the repository's root, with TensorFlow 1.15.5
and NumPy 1.18. FOLDER holds the originals, each as its repository or wheel lays it out:

- ``models/official/r1/resnet/``: tensorflow/models, or the wheel tf-models-official 2.1.0.dev2;
- ``tpu/models/official/resnet/resnet_model.py``: tensorflow/tpu;
- ``benchmarks/scripts/tf_cnn_benchmarks/``: tensorflow/benchmarks;
- ``DeepLearningExamples/TensorFlow/Classification/{RN50v1.5,ConvNets}/``: NVIDIA/DeepLearningExamples;
- ``tensorpack/examples/ResNet/resnet_model.py``: tensorpack/tensorpack, and ``tensorpack_site/``: the wheel
  tensorpack 0.9.8 with msgpack, msgpack-numpy, psutil, pyzmq, pyyaml, tabulate and tqdm;
- ``keras224/``, ``apps104/``, ``apps106/``: the wheels keras 2.2.4, keras-applications 1.0.4 and 1.0.6.

Slim and tf.keras are inside TensorFlow. Without CASE every case is written; a part of a name picks all that have it.
"""

from __future__ import annotations  # Python 3.7 runs this

import sys
from collections.abc import Sequence

from tests.architectures.make import (
    resnet_benchmarks,
    resnet_keras,
    resnet_nvidia,
    resnet_official,
    resnet_slim,
    resnet_tensorpack,
    resnet_tpu,
)

CODEBASES = (
    resnet_slim,
    resnet_keras,
    resnet_official,
    resnet_tpu,
    resnet_nvidia,
    resnet_benchmarks,
    resnet_tensorpack,
)


def main(folder: str, wanted: Sequence[str]) -> None:
    """Write every case whose name has one of the wanted words."""
    for codebase in CODEBASES:
        for case in codebase.cases(folder):
            if not wanted or any(word in case.name for word in wanted):
                case.write()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
