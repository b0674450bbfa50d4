"""By inspection of the code: what a stranger wrote is given to nothing that would run it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.jobs import ROOT

LOADERS: Final = re.compile(
    r"(.*\.)?(saved_model\.(load|load_v2)|loader(_impl)?\.(load|load_partial)|load_model|load_weights|model_from_(json|config|yaml)"
    r"|import_meta_graph|load_op_library|load_library|marshal\.loads?|__import__|import_module|spec_from_file_location"
    r"|yaml\.(load|full_load|unsafe_load))|eval|exec|compile"
)
"""Calls that run, or may run, what they are given."""

ALLOWED: Final = {
    ("job/engine/runners.py", "tf.saved_model.load"): "the candidate, which the job wrote itself, after its last look",
    ("job/engine/proof/bisection.py", "tf.saved_model.load"): "the candidate, too",
    ("job/engine/variants/faithful.py", "tf.saved_model.load"): "the candidate, too",
    ("job/engine/keras/proving.py", "keras.saving.load_model"): "model.keras, which the job wrote itself, in safe mode",
    ("job/engine/keras/keras3.py", "saving_utils.model_from_config"): "a configuration that `todays` has checked",
    ("job/engine/keras/configuration.py", "marshal.loads"): "the user allowed it by --allow-lambda",
    ("job/engine/ops/op_library.py", "tf.load_op_library"): "the user pinned it by --op-library FILE@sha256:HEX",
    ("job/engine/user_graphs/calling.py", "importlib.import_module"): "the user's own code, --architecture",
    ("job/engine/stages.py", "importlib.import_module"): "a module of the job, by the format",
    ("job/engine/formats/keras_h5.py", "importlib.import_module"): "a module of the job",
    ("job/gpu.py", "importlib.import_module"): "NVML's binding, by a constant name",
    ("job/zygote.py", "importlib.import_module"): "the stages' module, by the job's own command line",
}
"""Where one is called all the same, and why it may be."""

FORBIDDEN: Final = re.compile(
    r"(tensorflow\.python\.keras|tensorflow\.keras|c?[pP]ickle|_pickle|dill|cloudpickle|joblib|shelve|torch|runpy)(\..*)?"
)
"""Modules that run what they read: the Keras that is inside of TensorFlow executes Lambdas when it loads them."""


@cache
def modules() -> dict[str, list[ast.AST]]:
    """Return every module of the job by its path, as all that it is made of."""
    paths = sorted((ROOT / "job").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): list(ast.walk(ast.parse(path.read_text("utf-8")))) for path in paths}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with its module."""
    for path, nodes in modules().items():
        yield from ((path, node) for node in nodes if isinstance(node, ast.Call))


def test_loaders_are_given_only_what_the_job_wrote_or_the_user_allowed() -> None:
    """Each call of a loader has its reason; `tf.saved_model.load` of a source has none, and is not there."""
    found = {(path, ast.unparse(call.func)) for path, call in calls() if LOADERS.fullmatch(ast.unparse(call.func))}
    assert found == ALLOWED.keys()


def test_modules_that_run_what_they_read_are_not_imported() -> None:
    """Neither pickle nor the Keras inside of TensorFlow is anywhere in the job, not even within a function."""
    found = {(path, name) for path, nodes in modules().items() for name in imports(nodes)}
    assert {(path, name) for path, name in found if FORBIDDEN.fullmatch(name)} == set()
    assert ("job/engine/keras/building.py", "tf_keras") in found


def imports(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield what a module imports, at its top or anywhere in it, and what it names by ``tf.keras``."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"(tf|tensorflow)\.(python\.)?keras", ast.unparse(node)):
            yield "tensorflow.keras"


def test_arrays_are_read_without_objects() -> None:
    """NumPy's format holds pickles, too: every reading of it says that it wants none."""
    reading = [(path, call) for path, call in calls() if ast.unparse(call.func) in ("np.load", "numpy.load")]
    assert len(reading) >= 3
    for path, call in reading:
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert said.get("allow_pickle") == "False", f"{path}:{call.lineno}"
