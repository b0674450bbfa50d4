"""BERT (Devlin et al. 2018, arXiv:1810.04805) in the names of google-research/bert, with the heads that it had."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.inventory import SLOT, Inventory
from job.engine.architectures.layers import Layers, Outputs, T
from job.engine.architectures.naming import under
from job.engine.architectures.scopes import SCOPE, scope_of
from job.errors import BadInput

EPSILON: Final = 1e-12
"""``tf.contrib.layers.layer_norm``'s."""

WIDTH: Final = 64
"""Of a head in every published BERT; shapes alone do not tell how many heads there are."""

Read = Literal["pooled", "words", "untold"]
"""What a classifier reads."""

READS_POOLED: Final = (
    "the classifier is taken to read the pooled output, as in run_classifier.py; "
    "--architecture bert_of_words is the one that reads every word, as to find names"
)
GELU: Final = (
    "GELU is taken by its approximation with tanh, as in the last google-research/bert; "
    "the schemes that end in _erf (--architecture bert_erf) are of the first, which took erf"
)
SLOTS_TELL: Final = "its classifier reads every word: the layer of the pooled output was not trained, or is not there"

HEADS: Final = {
    "classifier": "output_weights",
    "squad": "cls/squad/output_weights",
    "next_sentence": "cls/seq_relationship/output_weights",
    "masked_words": "cls/predictions/output_bias",
}
"""What is trained on top, by a tensor that tells it: run_classifier.py, run_squad.py, run_pretraining.py."""


@dataclass(frozen=True, kw_only=True)
class Bert:
    """Its depth, the heads of its attention, its activation, and what is trained on top.

    `gelu_by` is how that activation is computed. `of_words` says that the classifier reads every word, as to find
    names, and not the pooled output.
    """

    layers: int
    heads: int
    activation: str = "gelu"
    gelu_by: Literal["tanh", "erf"] = "tanh"
    has_pooler: bool = True
    tops: frozenset[str] = frozenset()
    of_words: bool = False

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
            read = sequence if self.of_words else outputs["pooled_output"]
            answers["logits"] = layers.project(read, "classifier")
            answers["probabilities"] = layers.softmax(answers["logits"])
        if "squad" in self.tops:
            ends = layers.project(sequence, "squad")
            answers |= {"start_logits": layers.channel(ends, 0), "end_logits": layers.channel(ends, 1)}
        if "next_sentence" in self.tops:
            answers["nsp_logits"] = layers.project(outputs["pooled_output"], "next_sentence")
        if "masked_words" in self.tops:
            words = self._activated(layers, layers.dense(sequence, "words/transform"))
            words = layers.layer_norm(words, "words/norm", epsilon=EPSILON)
            answers["mlm_logits"] = layers.score(words, "words", "embeddings/word")
        return answers

    def _activated(self, layers: Layers[T], x: T) -> T:
        if self.activation == "gelu":
            return layers.gelu(x, by=self.gelu_by)
        return layers.relu(x) if self.activation == "relu" else layers.tanh(x)


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose BERT, as deep as the names say; how many heads its attention has, ``bert_config.json`` tells.

    Raises `BadInput` where that is of another model, or is not there and would have to say it.
    """
    above = scope_of(inventory, rf"{SCOPE}bert/{_WORDS}")
    scope = f"{above}bert/"
    numbers = {int(found[1]) for name in inventory.weights if (found := re.search(r"/encoder/layer_(\d+)/", name))}
    width = (inventory.weights.get(f"{scope}{_WORDS}") or (768,))[-1]
    config = _config(inventory, width, len(numbers)) if f"{scope}{_WORDS}" in inventory.weights else {}
    tops = _tops(inventory, above)
    read = _read_by_classifier(inventory, scope, tops.get("classifier", above), len(numbers))
    net = Bert(
        layers=len(numbers) or 12,
        heads=_heads(config, width),
        activation=_activation(config),
        has_pooler=not numbers or "next_sentence" in tops or f"{scope}pooler/dense/kernel" in inventory.weights,
        tops=frozenset(tops),
    )
    proposal = Proposal(
        scheme="bert",
        title=f"BERT with {net.layers} layers of {width}",
        origin="google-research/bert: modeling.py, run_pretraining.py, run_classifier.py, run_squad.py",
        build=net,
        naming=lambda: _names(scope, tops),
        facts=(f"attention has {net.heads} heads of {width // net.heads}",),
        assumptions=tuple(_assumptions(net, config)),
    )
    proposals = list(_by_classifier(proposal, net, read)) if "classifier" in tops else [proposal]
    yield from proposals
    if net.activation == "gelu":
        yield from map(_by_erf, proposals)


def _by_erf(proposal: Proposal) -> Proposal:
    """Return a proposal with the GELU of the first google-research/bert."""
    net = cast("Bert", proposal.build)
    assumptions = tuple(one for one in proposal.assumptions if one is not GELU)
    build = replace(net, gelu_by="erf")
    return replace(proposal, scheme=f"{proposal.scheme}_erf", build=build, assumptions=assumptions)


def _by_classifier(proposal: Proposal, net: Bert, read: Read) -> Iterator[Proposal]:
    """Yield both, the likelier first: the classifier reads the pooled output, or every word, as to find names."""
    of_words = replace(proposal, scheme="bert_of_words", build=replace(net, of_words=True))
    if read == "words":
        yield replace(of_words, facts=(*proposal.facts, SLOTS_TELL))
    else:
        untold = (READS_POOLED,) if read == "untold" else ()
        yield replace(proposal, assumptions=(*proposal.assumptions, *untold))
    yield replace(proposal, build=replace(net, has_pooler=True)) if read == "words" else of_words


def _tops(inventory: Inventory, above: str) -> dict[str, str]:
    """Return the scope of each head that there is: that of BERT, or one above, as where BERT is a Hub module."""
    parts = above.split("/")[:-1]
    scopes = ["".join(f"{part}/" for part in parts[:count]) for count in range(len(parts), -1, -1)]
    found = {top: [one for one in scopes if one + name in inventory.weights] for top, name in HEADS.items()}
    return {top: some[0] for top, some in found.items() if some}


def _read_by_classifier(inventory: Inventory, scope: str, above: str, depth: int) -> Read:
    """Tell what the classifier reads: an optimizer has slots of what has gradients alone.

    The layer of the pooled output has none, or is not there, where the classifier reads every word.
    """
    last, pooler = f"{scope}encoder/layer_{depth - 1}/output/dense/kernel", f"{scope}pooler/dense/kernel"
    slots = {SLOT.sub("", name) for name in inventory.extras if SLOT.search(name)}
    if pooler not in inventory.weights:
        return "words"
    if {last, above + HEADS["classifier"]} <= slots:
        return "pooled" if pooler in slots else "words"
    return "untold"


def _assumptions(net: Bert, config: Mapping[str, Any]) -> Iterator[str]:
    if "num_attention_heads" not in config:
        yield (
            f"each head of the attention is taken to be {WIDTH} wide, which shapes do not tell: "
            "put bert_config.json beside the checkpoint"
        )
    if net.activation == "gelu":
        yield GELU


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


def _names(scope: str, tops: Mapping[str, str]) -> Naming:
    """Name layers below the scope of BERT, and heads below their own."""

    def names(path: str, kind: Kind) -> Mapping[str, str]:
        if kind == "table":
            return {"table": scope + _PLACES[path]}
        place = _place(path, scope, tops)
        if kind in ("project", "bias"):
            return {"kernel": f"{place}output_weights", "bias": f"{place}output_bias"}
        words = {"gamma": "gamma", "beta": "beta"} if kind == "layer_norm" else {"kernel": "kernel", "bias": "bias"}
        return under(place, words)

    return names


def _place(path: str, scope: str, tops: Mapping[str, str]) -> str:
    if path in _ON_TOP:
        return tops["masked_words" if path.startswith("words") else path] + _ON_TOP[path]
    layer, _, inner = path.partition("/")
    return scope + (_PLACES.get(path) or f"encoder/layer_{layer.removeprefix('layer')}/{_IN_LAYER[inner]}")


def _config(inventory: Inventory, width: int, depth: int) -> Mapping[str, Any]:
    """Return the configuration beside the checkpoint, which must be its own, or be needless."""
    config = inventory.config
    for key, size in (("hidden_size", width), ("num_hidden_layers", depth)):
        if config.get(key, size) != size:
            what = f"the configuration beside the checkpoint is another's: its {key} is {config[key]}, not {size}"
            raise BadInput(what, remedy="put the checkpoint's own bert_config.json there, and no other")
    if width % WIDTH and "num_attention_heads" not in config:
        raise BadInput(
            f"a BERT {width} wide, and nothing tells how many heads its attention has",
            remedy="put its bert_config.json beside the checkpoint",
        )
    return config


def _heads(config: Mapping[str, Any], width: int) -> int:
    heads = config.get("num_attention_heads", max(width // WIDTH, 1))
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise BadInput(f"bert_config.json says {heads!r} heads, which do not divide {width}", remedy="correct it")
    return heads


def _activation(config: Mapping[str, Any]) -> str:
    activation = config.get("hidden_act", "gelu")
    if activation not in ("gelu", "relu", "tanh"):
        raise BadInput(f"bert_config.json names an activation that BERT has not: {activation!r}", remedy="correct it")
    return str(activation)
