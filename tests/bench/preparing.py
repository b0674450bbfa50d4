"""The forms of a model that the tables compare: its frozen graph, what the job makes of it, and what others do."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from job import codec
from job.plan import tensorflow_version
from job.requests import MakeVariantsRequest
from job.results import MadeVariants
from tests.bench.contest import ROOT, Unable, first_line

Answer = TypeVar("Answer")

OUTPUTS: Final = {
    "resnet50": ("logits",),
    "mobilenet_v2": ("logits",),
    "bert": ("encoded",),
    "ssd": ("detection_boxes", "detection_scores", "detection_classes"),
    "lstm": ("logits",),
}
"""The outputs of each of `tests.bench.networks`."""

ONNX_OPSET: Final = "18"

STAGE: Final = """
import sys
from job import codec
from job.plan import tensorflow_version
from job.engine.stages import STAGES
stage = STAGES[sys.argv[1]]
print(codec.dumps(stage.run(codec.loads(sys.argv[2], stage.request))))
"""


VERSIONS: Final = """
import sys
from importlib.metadata import version
for name in sys.argv[1:]:
    print(name, version(name))
"""

PROGRAMS: Final = ("tf2onnx", "onnxruntime", "openvino")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A frozen graph, with examples of its input, and the floating-point operations of one."""

    name: str
    directory: Path
    flop: float

    @property
    def frozen(self) -> Path:
        """Return the GraphDef."""
        return self.directory / "source" / "frozen.pb"

    @property
    def inputs(self) -> Path:
        """Return examples in NumPy's format."""
        return self.directory / "source" / "inputs.npy"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the graph's outputs."""
        return OUTPUTS[self.name]


def make(name: str, directory: Path) -> Model:
    """Write the frozen graph of one of our networks."""
    source = directory / "source"
    source.mkdir(parents=True)
    _run([sys.executable, "-W", "ignore", "-m", "tests.bench.networks", name, str(source)], CUDA_VISIBLE_DEVICES="-1")
    told = json.loads((source / "network.json").read_text())
    (source / "network.json").unlink()
    return Model(name=name, directory=directory, flop=told["flop"])


def convert(model: Model, *options: str) -> Path:
    """Run the job on a model as its users do, without a benchmark, and return the faithful SavedModel."""
    dest = model.directory / "published"
    job = [sys.executable, "-m", "job", "run", "--source", str(model.frozen), "--dest", str(dest)]
    _run([*job, "--benchmark", "off", "--tune-budget", "0", "--sandbox", "best-effort", *options])
    return next(dest.rglob("saved_model/saved_model.pb")).parent


def make_variants(model: Model, saved_model: Path, device: Literal["cpu", "gpu"]) -> tuple[MadeVariants, Path]:
    """Make all variants of a SavedModel by the job's own stage; returns them with the directory where they lie."""
    directory = model.directory / "variants"
    directory.mkdir()
    asked = MakeVariantsRequest(
        saved_model=str(saved_model), directory=str(directory), precision="reduced", device=device
    )
    return run_stage("make_variants", asked, MadeVariants), directory


def run_stage(name: str, request: object, kind: type[Answer]) -> Answer:
    """Run one stage of the job in a fresh process; raises `Unable` with the last line of its error."""
    said = _run([sys.executable, "-W", "ignore", "-c", STAGE, name, codec.dumps(request)])
    return codec.loads(said.splitlines()[-1], kind)


def peers_python() -> str:
    """Return the Python of the environment of the other programs, which is made if need be."""
    return _run(["scripts/venv-peers"]).strip()


def versions_of(python: str = "") -> str:
    """Return the versions of what runs the models, the other programs' too where their Python is given."""
    ours = f"TensorFlow {tensorflow_version()}"
    if not python:
        return ours
    return ", ".join([ours, *_run([python, "-c", VERSIONS, *PROGRAMS]).splitlines()])


def to_onnx(model: Model, python: str) -> Path:
    """Convert a frozen graph by tf2onnx."""
    file = model.directory / "model.onnx"
    tensors = ",".join(f"{name}:0" for name in model.outputs)
    command = [python, "-W", "ignore", "-m", "tf2onnx.convert", "--graphdef", str(model.frozen), "--inputs", "inputs:0"]
    _run([*command, "--outputs", tensors, "--output", str(file), "--opset", ONNX_OPSET], CUDA_VISIBLE_DEVICES="-1")
    return file


def _run(command: list[str], **extra: Any) -> str:
    """Return what a command prints; raises `Unable` with the last line of what it says of its failure."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | extra
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise Unable(first_line(lines[-1] if lines else f"{command[0]} ended with code {ended.returncode}"))
    return ended.stdout
