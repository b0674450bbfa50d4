from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from job.engine.graph import Graph
from job.engine.ops import equivalents
from tests.engine.ops.retired_ops import CASES, RECORDED, Case, graph_of, plain


@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_tensorflow_1(name: str) -> None:
    """What stands in for a retired op answers as TensorFlow 1.15.5 recorded, special values included."""
    case = CASES[name]
    graph, replaced = equivalents.replace_retired(Graph(graph_of(case)))
    assert replaced == {"retired": case.op}
    wanted = np.load(RECORDED)
    for output, said in enumerate(map(plain, run(graph, case))):
        assert said.dtype == wanted[f"{name}/{output}"].dtype
        np.testing.assert_array_equal(said, wanted[f"{name}/{output}"])


def run(graph: Graph, case: Case) -> list[np.ndarray[Any, Any]]:
    """Return the outputs of the node ``retired``."""
    with tf.Graph().as_default() as imported, tf.compat.v1.Session() as session:
        tf.import_graph_def(graph.graph_def, name="")
        feeds = {f"given_{index}:0": array for index, array in enumerate(case.arrays)}
        fetches = [imported.get_tensor_by_name(f"retired:{output}") for output in range(case.outputs)]
        outputs: list[np.ndarray[Any, Any]] = session.run(fetches, feeds)
        return outputs
