"""Write requests.tfrecord by tensorflow-serving-api itself: ``python -m tests.engine.serving.make_requests``.

The package is not among the project's: ``pip install --no-deps tensorflow-serving-api==2.21.0`` beside TensorFlow.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

GOLDEN: Final = Path(__file__).parent / "requests.tfrecord"

REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("serving_default", {"x": tf.make_tensor_proto(np.arange(6, dtype=np.float32).reshape(2, 3))}),
    (
        "classify",
        {
            "images": tf.make_tensor_proto(0.5, dtype=tf.float32, shape=[32, 8, 8, 3]),
            "texts": tf.make_tensor_proto(np.array([b"a", b"\x00\xff"], object)),
            "ids": tf.make_tensor_proto(np.array([[7]], np.int64)),
        },
    ),
    ("", {}),
)
"""Signatures and inputs: real values, one value for all elements, bytes, whole numbers; and nothing."""


def main() -> None:
    """Write the golden."""
    from tensorflow_serving.apis import (  # type: ignore[import-not-found]  # noqa: PLC0415 - nothing else needs it
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
    )

    with tf.io.TFRecordWriter(str(GOLDEN)) as writer:
        for signature, inputs in REQUESTS:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name=signature), inputs=inputs
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
