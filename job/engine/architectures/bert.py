"""BERT (Devlin et al. 2018, arXiv:1810.04805) in the names of google-research/bert, with the heads that it had."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T
from job.engine.architectures.naming import under
from job.errors import BadInput

EPSILON: Final = 1e-12
"""``tf.contrib.layers.layer_norm``'s."""

WIDTH: Final = 64
"""Of a head in every published BERT; shapes alone do not tell how many heads there are."""

HEADS: Final = {
    "classifier": "output_weights",
    "squad": "cls/squad/output_weights",
    "next_sentence": "cls/seq_relationship/output_weights",
    "masked_words": "cls/predictions/output_bias",
}
"""What is trained on top, by a tensor that tells it: run_classifier.py, run_squad.py, run_pretraining.py."""


@dataclass(frozen=True, kw_only=True)
class Bert:
    """Its depth, the heads of its attention, its activation, and what is trained on top."""

    layers: int
    heads: int
    activation: str = "gelu"
    has_pooler: bool = True
    tops: frozenset[str] = frozenset()

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``sequence_output``, ``pooled_output`` and the answers of what is on top."""
        ids, mask, segments = (layers.tokens(key) for key in ("input_ids", "input_mask", "segment_ids"))
        x = layers.add(layers.embed(ids, "embeddings/word"), layers.embed(segments, "embeddings/token_type"))
        x = layers.add_positions(x, "embeddings/position")
        x = layers.layer_norm(x, "embeddings/norm", epsilon=EPSILON)
        for number in range(self.layers):
            x = self._layer(layers, x, mask, f"layer{number}")
        outputs = {"sequence_output": x}
        if self.has_pooler:
            outputs["pooled_output"] = layers.tanh(layers.dense(layers.first(x), "pooler"))
        return outputs | self._answers(layers, outputs)

    def _layer(self, layers: Layers[T], x: T, mask: T, path: str) -> T:
        attended = layers.attend(x, mask, f"{path}/attention", heads=self.heads)
        attended = layers.dense(attended, f"{path}/attention/output")
        x = layers.layer_norm(layers.add(attended, x), f"{path}/attention/norm", epsilon=EPSILON)
        y = self._activated(layers, layers.dense(x, f"{path}/intermediate"))
        y = layers.dense(y, f"{path}/output")
        return layers.layer_norm(layers.add(y, x), f"{path}/norm", epsilon=EPSILON)

    def _answers(self, layers: Layers[T], outputs: Outputs[T]) -> dict[str, T]:
        sequence, answers = outputs["sequence_output"], dict[str, T]()
        if "classifier" in self.tops:
            answers["logits"] = layers.project(outputs["pooled_output"], "classifier")
            answers["probabilities"] = layers.softmax(answers["logits"])
        if "squad" in self.tops:
            answers["squad_logits"] = layers.project(sequence, "squad")
        if "next_sentence" in self.tops:
            answers["nsp_logits"] = layers.project(outputs["pooled_output"], "next_sentence")
        if "masked_words" in self.tops:
            words = self._activated(layers, layers.dense(sequence, "words/transform"))
            words = layers.layer_norm(words, "words/norm", epsilon=EPSILON)
            answers["mlm_logits"] = layers.score(words, "words", "embeddings/word")
        return answers

    def _activated(self, layers: Layers[T], x: T) -> T:
        return {"gelu": layers.gelu, "relu": layers.relu, "tanh": layers.tanh}[self.activation](x)


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose BERT, as deep as the names say; how many heads its attention has, ``bert_config.json`` tells."""
    scope = next((name.removesuffix(_WORDS) for name in inventory.weights if name.endswith(_WORDS)), "bert/")
    numbers = {int(found[1]) for name in inventory.weights if (found := re.search(r"/encoder/layer_(\d+)/", name))}
    width = inventory.weights.get(f"{scope}{_WORDS}", (0, 768))[-1]
    config = inventory.config if numbers else {}
    heads = config.get("num_attention_heads") or max(width // WIDTH, 1)
    net = Bert(
        layers=len(numbers) or 12,
        heads=_checked(heads, width),
        activation=_known(config.get("hidden_act") or "gelu"),
        has_pooler=not numbers or f"{scope}pooler/dense/kernel" in inventory.weights,
        tops=frozenset(top for top, name in HEADS.items() if name in inventory.weights),
    )
    facts = [f"attention has {heads} heads of {width // heads}, as bert_config.json says"]
    if "num_attention_heads" not in config:
        facts = [
            f"attention was taken to have heads of {WIDTH}, which shapes do not tell: put bert_config.json beside it"
        ]
    facts.append(f"its activation was taken to be {net.activation}" + (" by tanh" * (net.activation == "gelu")))
    yield Proposal(
        scheme="bert",
        title=f"BERT with {net.layers} layers of {width}",
        build=net,
        naming=lambda: _names(scope),
        facts=tuple(facts),
    )


_WORDS: Final = "embeddings/word_embeddings"

_PLACES: Final = {
    "embeddings/word": _WORDS,
    "embeddings/token_type": "embeddings/token_type_embeddings",
    "embeddings/position": "embeddings/position_embeddings",
    "embeddings/norm": "embeddings/LayerNorm",
    "pooler": "pooler/dense",
}
_IN_LAYER: Final = {
    "attention/query": "attention/self/query",
    "attention/key": "attention/self/key",
    "attention/value": "attention/self/value",
    "attention/output": "attention/output/dense",
    "attention/norm": "attention/output/LayerNorm",
    "intermediate": "intermediate/dense",
    "output": "output/dense",
    "norm": "output/LayerNorm",
}
_ON_TOP: Final = {
    "classifier": "",
    "squad": "cls/squad/",
    "next_sentence": "cls/seq_relationship/",
    "words": "cls/predictions/",
    "words/transform": "cls/predictions/transform/dense",
    "words/norm": "cls/predictions/transform/LayerNorm",
}


def _names(scope: str) -> Naming:
    def names(path: str, kind: Kind) -> Mapping[str, str]:
        if kind == "project":
            return {"kernel": f"{_ON_TOP[path]}output_weights", "bias": f"{_ON_TOP[path]}output_bias"}
        if kind == "bias":
            return {"bias": f"{_ON_TOP[path]}output_bias"}
        if kind == "table":
            return {"table": scope + _PLACES[path]}
        words = {"gamma": "gamma", "beta": "beta"} if kind == "layer_norm" else {"kernel": "kernel", "bias": "bias"}
        if path in _ON_TOP:
            return under(_ON_TOP[path], words)
        layer, _, inner = path.partition("/")
        if path in _PLACES:
            return under(scope + _PLACES[path], words)
        return under(f"{scope}encoder/layer_{layer.removeprefix('layer')}/{_IN_LAYER[inner]}", words)

    return names


def _checked(heads: int, width: int) -> int:
    if width % heads:
        raise BadInput(f"bert_config.json says {heads} heads, which do not divide {width}", remedy="correct it")
    return heads


def _known(activation: str) -> str:
    if activation not in ("gelu", "relu", "tanh"):
        raise BadInput(f"bert_config.json names an activation that BERT has not: {activation}", remedy="correct it")
    return activation
