"""How TensorFlow is set up in a worker, and what it says of itself."""

import platform
from typing import Literal

import tensorflow as tf

from job.errors import DeviceError

Mode = Literal["exact", "as_run"]


def configure(mode: Mode, device: Literal["cpu", "gpu"], seed: int = 0, *, grappler: bool = True) -> None:
    """Set up a worker before its first op.

    ``exact`` turns off what changes numbers behind a graph's back: Grappler, and on a GPU TF32
    and kernels that add in another order each time (oneDNN is off by the forkserver's
    environment, since it is decided while TensorFlow is imported). ``as_run`` leaves a user's
    defaults, or all but Grappler.
    """
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if mode == "exact":
        tf.config.experimental.enable_tensor_float_32_execution(False)
    if mode == "exact" or not grappler:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if mode == "exact" and device == "gpu":
        tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(seed)


def session_config(mode: Mode) -> tf.compat.v1.ConfigProto:
    """Return the same set-up for a TF1 session, which does not know what was configured."""
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    is_off = bool(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer"))
    config.graph_options.rewrite_options.disable_meta_optimizer = mode == "exact" or is_off
    return config


def prove_gpu() -> str:
    """Place an op on the first GPU and return the GPU's name.

    Raises `DeviceError` where none is listed or the op ran elsewhere: TensorFlow since 2.18
    runs on the CPU without a word where a CUDA library is missing (symptom 32). The supervisor,
    which sees the machine, says what to do.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise DeviceError(
            f"TensorFlow {tf.__version__} sees no GPU",
            where=f"built for CUDA {tf.sysconfig.get_build_info().get('cuda_version', 'none')}",
        )
    try:
        with tf.device("/GPU:0"):
            product = tf.linalg.matmul(tf.ones([64, 64]), tf.ones([64, 64]))
        total = float(tf.reduce_sum(product))
    except tf.errors.OpError as error:
        raise DeviceError(
            f"a matrix product on the GPU failed: {str(error).splitlines()[0]}",
            remedy="check driver and CUDA libraries",
        ) from error
    if "GPU" not in product.device or total != 64.0**3:
        raise DeviceError(f"an op for the GPU ran on {product.device}", remedy="check driver and CUDA libraries")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def environment(mode: Mode, device: str) -> dict[str, str]:
    """Return what a report says about where numbers come from."""
    return {
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "mode": mode,
    }
