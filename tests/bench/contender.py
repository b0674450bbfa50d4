"""One contender, in a process and an environment of its own: python -m tests.bench.contender KIND MODEL ...

It is told what to do by lines of JSON and answers each by one; errors too. It imports nothing of the job, so that
other runtimes can live in environments without it.
"""

import argparse
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Answers = dict[str, Array]


class Bound(NamedTuple):
    """What runs a batch: to its end, and with its answers on the host; where a batch is fed both are the same."""

    run: Callable[[], object]
    answers: Callable[[], Answers]


Bind = Callable[[Array], Bound]
"""Takes a batch of the one input, ``inputs``: TensorFlow in a session or a loaded model of that batch's own.

With oneDNN it keeps dense weights laid out as the first batch size wants them, and lays them out anew in every call of
another size that wants them otherwise. OpenVINO compiles for each size; ONNX Runtime has one session for all.
"""


class Setting(argparse.Namespace):
    """What a contender is started with; `outputs` are nodes of the frozen graph.

    `first` is the batch size that TensorFlow runs before any other where batches are fed; 0 for none.
    """

    kind: str
    model: Path
    outputs: list[str]
    threads: int
    device: str
    resident: bool
    precision: str
    first: int


def session(setting: Setting) -> Bind:
    """Run the TF1 graph in a Session; a resident batch is a variable, so that nothing is fed."""
    import tensorflow as tf

    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=setting.threads, allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    if setting.device == "cpu":
        config.device_count["GPU"] = 0
    fetches = [f"{name}:0" for name in setting.outputs]

    def imported(source: Any) -> Any:
        graph_def = v1.GraphDef.FromString(setting.model.read_bytes())
        return tf.import_graph_def(graph_def, {"inputs:0": source}, fetches, name="")

    def bind_resident(batch: Array) -> Bound:
        with tf.Graph().as_default() as graph:
            given = v1.placeholder(batch.dtype, [None, *batch.shape[1:]])
            source = tf.ensure_shape(v1.get_variable("batch", initializer=given, validate_shape=False), given.shape)
            found = imported(source)
            running = v1.Session(graph=graph, config=config)
            running.run(v1.global_variables_initializer(), {given: batch})
        fetch = running.make_callable(found)
        ran = running.make_callable([tensor.op for tensor in found])
        return Bound(ran, lambda: dict(zip(setting.outputs, fetch(), strict=True)))

    open_sessions = list[Any]()  # one at a time: each holds the weights

    def fed(dtype: Any, shape: tuple[int, ...]) -> Callable[[Array], list[Array]]:
        while open_sessions:
            open_sessions.pop().close()
        gc.collect()  # its graph too
        with tf.Graph().as_default() as graph:
            given = v1.placeholder(dtype, [None, *shape])
            open_sessions.append(v1.Session(graph=graph, config=config))
            return open_sessions[0].make_callable(imported(given), [given])  # type: ignore[no-any-return]

    def bind(batch: Array) -> Bound:
        if setting.resident:
            return bind_resident(batch)
        call = fed(batch.dtype, batch.shape[1:])
        if setting.first:
            call(_of_size(batch, setting.first))
        return _fed(lambda: dict(zip(setting.outputs, call(batch), strict=True)))

    return bind


def saved_model(setting: Setting) -> Bind:
    """Run a SavedModel's signature as its users do; a resident batch is a tensor that is made once."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
    if setting.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    loaded = dict[str, Any]()  # a signature does not keep its model's variables

    def serving() -> Callable[..., dict[str, Any]]:
        loaded.clear()  # one at a time: each holds the weights
        gc.collect()
        loaded["model"] = tf.saved_model.load(str(setting.model))
        return loaded["model"].signatures["serving_default"]  # type: ignore[no-any-return]

    def fetched(answers: dict[str, Any]) -> Answers:
        return {name: answer.numpy() for name, answer in answers.items()}

    def bind(batch: Array) -> Bound:
        serve, resident = serving(), tf.identity(tf.constant(batch))
        if setting.first:
            serve(inputs=tf.constant(_of_size(batch, setting.first)))

        def run() -> None:
            for answer in serve(inputs=resident).values():
                answer[(0,) * answer.shape.rank].numpy()  # one number waits for all

        if setting.resident:
            return Bound(run, lambda: fetched(serve(inputs=resident)))
        return _fed(lambda: fetched(serve(inputs=tf.constant(batch))))

    return bind


def onnx(setting: Setting) -> Bind:
    """Run an ONNX file in ONNX Runtime."""
    import onnxruntime  # noqa: PLC0415 - other environments have none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    running = onnxruntime.InferenceSession(setting.model, options, providers=["CPUExecutionProvider"])
    fetches = [f"{name}:0" for name in setting.outputs]

    def bind(batch: Array) -> Bound:
        return _fed(lambda: dict(zip(setting.outputs, running.run(fetches, {"inputs:0": batch}), strict=True)))

    return bind


def openvino(setting: Setting) -> Bind:
    """Run the frozen graph in OpenVINO, compiled for each batch size; without a precision it takes what it likes."""
    import openvino  # noqa: PLC0415 - as before

    core = openvino.Core()
    config: dict[str, Any] = {"INFERENCE_NUM_THREADS": setting.threads, "PERFORMANCE_HINT": "LATENCY"}
    if setting.precision:
        config["INFERENCE_PRECISION_HINT"] = setting.precision

    def bind(batch: Array) -> Bound:
        model = core.read_model(setting.model)
        model.reshape(list(batch.shape))
        compiled = core.compile_model(model, "CPU", config)
        ports = {name: compiled.output(f"{name}:0") for name in setting.outputs}

        def call() -> Answers:
            answers = compiled(batch)
            return {name: answers[port] for name, port in ports.items()}

        return _fed(call)

    return bind


def _fed(call: Callable[[], Answers]) -> Bound:
    return Bound(call, call)


def _of_size(examples: Array, size: int) -> Array:
    return np.resize(examples, (size, *examples.shape[1:]))


KINDS: Final[dict[str, Callable[[Setting], Bind]]] = {
    "session": session,
    "saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
}


class Server:
    """Answers what it is told: ``bind`` a file of inputs at a batch size, keep its ``answers``, ``run`` some calls."""

    def __init__(self, bind: Bind) -> None:
        self._bind = bind
        self._bound = Bound(dict, dict)

    def bind(self, inputs: str, batch: int) -> float:
        """Take a batch and run it once; returns what that took, in ms."""
        examples = np.load(inputs)
        self._bound = Bound(dict, dict)  # what the last batch held is free before the next takes as much
        self._bound = self._bind(_of_size(examples, batch))
        first_call_ms = self.run(1)[0] * 1e3
        ctypes.CDLL(None).malloc_trim(0)  # loading held several times what running does, and others need it
        return first_call_ms

    def ready(self) -> bool:
        """Tell that the runtime is there."""
        return True

    def answers(self, file: str) -> list[str]:
        """Run once, keep the answers and return their names."""
        answers = {name: np.asarray(answer) for name, answer in self._bound.answers().items()}
        np.savez(file, **answers)  # type: ignore[arg-type] # its stub takes them for options
        return list(answers)

    def run(self, calls: int) -> list[float]:
        """Return the time of each call, in seconds."""
        latencies_s = []
        for _ in range(calls):
            start_s = time.perf_counter()
            self._bound.run()
            latencies_s.append(time.perf_counter() - start_s)
        return latencies_s


def serve(server: Server, questions: TextIO, answers: TextIO) -> None:
    """Answer until there are no more questions."""
    for line in questions:
        name, *arguments = json.loads(line)
        try:
            said = {"answer": getattr(server, name)(*arguments)}
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its reason
            said = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def main() -> None:
    """Import the runtime, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("model", type=Path)
    parser.add_argument("--outputs", nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resident", action="store_true")
    parser.add_argument("--precision", default="")
    parser.add_argument("--first", type=int, default=0)
    setting = parser.parse_args(namespace=Setting())
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a runtime prints is no answer
        serve(Server(KINDS[setting.kind](setting)), sys.stdin, answers)


if __name__ == "__main__":
    main()
