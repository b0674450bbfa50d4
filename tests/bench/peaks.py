"""What the device does at most, by large matrix products: python -m tests.bench.peaks cpu|gpu SIZE prints JSON."""

import json
import sys
import time
from typing import Any, Final

import tensorflow as tf

PRECISIONS: Final = {
    "float32": (tf.float32, False),
    "TF32": (tf.float32, True),
    "bfloat16": (tf.bfloat16, True),
    "float16": (tf.float16, True),
}
"""The type of the factors, and whether TF32 is allowed."""

WINDOWS: Final = 5
WINDOW_S: Final = 0.4


def peak_flop_per_s(size: int, dtype: Any, *, tf32: bool) -> float:
    """Return the operations a second of the best window; a product of two squares is 2 x size^3 of them."""
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    factor = tf.cast(tf.random.stateless_normal([size, size], [0, 1]), dtype)

    def took_s(products: int) -> float:
        start = time.perf_counter()
        for _ in range(products):
            product = tf.linalg.matmul(factor, factor)
        product[0, 0].numpy()  # waits for all
        return time.perf_counter() - start

    took_s(1)
    products = max(1, round(WINDOW_S / took_s(1)))
    return 2.0 * size**3 * products / min(took_s(products) for _ in range(WINDOWS))


def main(device: str, size: int) -> None:
    """Print the peak of each precision, and the versions of what computes."""
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    with tf.device(f"/{device.upper()}:0"):
        peaks = {name: peak_flop_per_s(size, dtype, tf32=tf32) for name, (dtype, tf32) in PRECISIONS.items()}
    built = tf.sysconfig.get_build_info()
    versions = {name: str(built[f"{name}_version"]) for name in ("cuda", "cudnn") if f"{name}_version" in built}
    print(json.dumps({"peaks": peaks, "versions": {"tensorflow": tf.__version__, **versions}}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
