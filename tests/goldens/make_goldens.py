"""Make the goldens again, under TensorFlow 1.15.5: ``python -m tests.goldens.make_goldens [CASE ...]``.

Seeds are fixed: what is made again is equal byte for byte, but for the order in which the
``.meta`` files of three graphs with v1 control flow list its contexts, and for the numbers in the names of functions.
"""

from __future__ import annotations  # Python 3.7 runs this

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import tensorflow.compat.v1 as tf  # noqa: TID253 - its version is what matters

from tests.goldens import cases, cases_broken, cases_inputs, cases_resnet50, cases_state
from tests.goldens.recording import Case, record

GOLDENS = Path(__file__).resolve().parent

CASES: tuple[Callable[[Path], Case], ...] = (
    cases.ref_variables_saved_model,
    cases.resource_variables_saved_model,
    cases.pbtxt_saved_model,
    cases.multi_signature_saved_model,
    cases.ref_variables_checkpoint,
    cases.resource_variables_checkpoint,
    cases.sharded_checkpoint,
    cases.keep_prob_checkpoint,
    cases.while_loop_frozen,
    cases.while_loop_checkpoint,
    cases.cond_frozen,
    cases.cond_checkpoint,
    cases.vocabulary_saved_model,
    cases.v1_table_saved_model,
    cases_state.start_values_saved_model,
    cases_state.swapped_names_checkpoint,
    cases_state.first_version_sharded_checkpoint,
    cases_state.first_version_truncated_checkpoint,
    cases_state.object_checkpoint,
    cases_state.mutable_tables_checkpoint,
    cases_inputs.examples_saved_model,
    cases_inputs.queue_checkpoint,
    cases_inputs.iterator_checkpoint,
    cases_inputs.odd_signatures_saved_model,
    cases_inputs.functions_saved_model,
    cases_resnet50.resnet50_saved_model,
    cases_resnet50.resnet50_checkpoint,
    cases_resnet50.resnet50_frozen_pb,
    cases_resnet50.resnet50_frozen_pbtxt,
    cases_broken.py_func_frozen,
    cases_broken.custom_op_frozen,
    cases_broken.truncated_frozen,
    cases_broken.html_frozen,
    cases_broken.git_lfs_pointer_frozen,
    cases_broken.missing_data_saved_model,
    cases_broken.missing_data_checkpoint,
)


def main(wanted: list[str]) -> None:
    """Write the `wanted` cases, or all of them."""
    tf.logging.set_verbosity(tf.logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # graphs name their vocabularies relative to here, and here will be gone
        for make in CASES:
            if not wanted or make.__name__ in wanted:
                write_case(make)


def write_case(make: Callable[[Path], Case]) -> None:
    """Write a case into the folder of its name, in place of what is there."""
    folder = GOLDENS / make.__name__
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir()
    same_names = mock.patch("uuid.uuid4", return_value=uuid.UUID(int=1))  # savers put it into the graph
    with tf.Graph().as_default(), same_names:
        case = make(folder)
    record(folder, case)
    print(f"{case.expect:6} {case.format:12} {folder.name}")  # noqa: T201 - a script's answer


if __name__ == "__main__":
    main(sys.argv[1:])
