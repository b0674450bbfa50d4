"""Runs BERT as google-research/bert defines it, with the heads of pre-training, of a classifier, of SQuAD, and none.

``python3.7 -m tests.architectures.make.bert BERT`` from the repository's root, with TensorFlow 1.15.5, where BERT is
a folder that holds the unpacked wheel of bert-tensorflow 1.0.4: google-research/bert as a package.
"""

from __future__ import annotations  # Python 3.7 runs this

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf  # noqa: TID253 - 1.15.5 runs the originals

from tests.architectures.make import recording

ORIGIN = "PyPI bert-tensorflow 1.0.4, google-research/bert: modeling.py"
NOTES = "inputs are in the .npz by their keys; dropout is off; epsilon of layer norm 1e-12; gelu by tanh"
EXAMPLES = 2
POSITIONS = 6
PADDED = 2
TINY = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 99,
}
BASE = dict(
    TINY,
    hidden_size=768,
    intermediate_size=3072,
    max_position_embeddings=512,
    num_attention_heads=12,
    num_hidden_layers=3,
    vocab_size=200,
)
CLASSES = 3


def main(folder: str) -> None:
    """Write every case; training leaves the slots of Adam."""
    sys.path.insert(0, folder)
    write("bert_tiny_pretraining", TINY, pretraining_of(TINY), "run_pretraining")
    write("bert_base3_pretraining", BASE, pretraining_of(BASE), "run_pretraining")
    write("bert_tiny_classifier", TINY, classifier_of(TINY), "run_classifier", classes=CLASSES)
    write("bert_tiny_squad", TINY, squad_of(TINY), "run_squad")
    write("bert_tiny", TINY, lambda inputs: body(TINY, inputs)[1], "")


def pretraining_of(config: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a builder of the model with both heads; the masked words are predicted at every position."""
    heads = module_of("run_pretraining")

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        model, outputs = body(config, inputs)
        positions = tf.tile(tf.range(POSITIONS)[tf.newaxis], [EXAMPLES, 1])
        nothing = tf.zeros([EXAMPLES, POSITIONS], tf.int32)
        words = model.get_sequence_output(), model.get_embedding_table()
        heads.get_masked_lm_output(model_config(config), *words, positions, nothing, tf.cast(nothing, tf.float32))
        heads.get_next_sentence_output(model_config(config), model.get_pooled_output(), nothing[:, 0])
        scores = logits_of("cls/predictions")
        outputs["mlm_logits"] = tf.reshape(scores, [EXAMPLES, POSITIONS, config["vocab_size"]])
        outputs["nsp_logits"] = logits_of("cls/seq_relationship")
        return outputs

    return build


def classifier_of(config: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a builder of the model with a classifier on its pooled output."""
    heads = module_of("run_classifier")

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        labels = tf.zeros([EXAMPLES], tf.int32)
        texts = [inputs[key] for key in ("input_ids", "input_mask", "segment_ids")]
        _, _, logits, _ = heads.create_model(model_config(config), False, *texts, labels, CLASSES, False)
        return {"logits": logits}

    return build


def squad_of(config: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a builder of the model that tells where answers start and end."""
    heads = module_of("run_squad")

    def build(inputs: dict[str, Any]) -> dict[str, Any]:
        texts = [inputs[key] for key in ("input_ids", "input_mask", "segment_ids")]
        start, end = heads.create_model(model_config(config), False, *texts, False)
        return {"start_logits": start, "end_logits": end}

    return build


def body(config: dict[str, Any], inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Build the model alone and return it with its outputs."""
    model = module_of("modeling").BertModel(
        config=model_config(config),
        is_training=False,
        input_ids=inputs["input_ids"],
        input_mask=inputs["input_mask"],
        token_type_ids=inputs["segment_ids"],
        use_one_hot_embeddings=False,
    )
    return model, {"sequence_output": model.get_sequence_output(), "pooled_output": model.get_pooled_output()}


def module_of(name: str) -> Any:
    """Import one of BERT's modules; its scripts define the same flags, so each forgets those of the last."""
    for flag in list(tf.compat.v1.flags.FLAGS):
        delattr(tf.compat.v1.flags.FLAGS, flag)
    return importlib.import_module(f"bert.{name}")


def model_config(config: dict[str, Any]) -> Any:
    """Return the configuration as BERT's own class."""
    return module_of("modeling").BertConfig.from_dict(config)


def logits_of(scope: str) -> Any:
    """Return what a head of pre-training adds its bias to: it returns only logarithms of probabilities."""
    return tf.compat.v1.get_default_graph().get_tensor_by_name(f"{scope}/BiasAdd:0")


def texts_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return two texts as BERT reads them; the second is shorter, its rest masked."""
    random = np.random.RandomState(0)
    mask = np.ones([EXAMPLES, POSITIONS], np.int32)
    mask[1, POSITIONS - PADDED :] = 0
    words = random.randint(1, config["vocab_size"], mask.shape).astype(np.int32) * mask
    segments = (np.arange(POSITIONS) >= POSITIONS // 2).astype(np.int32) * mask
    return {"input_ids": words, "input_mask": mask, "segment_ids": segments}


def write(
    case: str, config: dict[str, Any], build: Callable[[Any], Any], script: str, *, classes: int | None = None
) -> None:
    """Write a case; what was fed is in the ``.npz`` by the inputs' keys."""
    feeds = texts_of(config)
    variables, answers = recording.run(build, feeds)
    slots = recording.slots_of(variables, "adam_m", "adam_v") if script else {}
    description: dict[str, Any] = {
        "origin": ORIGIN + (f", {script}.py" if script else ""),
        "variables": variables,
        "extras": dict(slots, global_step=[]),
        "inputs": {key: {"shape": [None, None], "dtype": "int32"} for key in feeds},
        "pixels": [],
        "outputs": {key: [key] for key in answers},
        "classes": classes,
        "config": json.dumps(config, indent=2),
        "notes": NOTES,
    }
    recording.write(case, description, dict(answers, **feeds))


if __name__ == "__main__":
    main(sys.argv[1])
