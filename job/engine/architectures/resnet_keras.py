"""ResNets of Keras: by their layers' names, or by their layers' numbers in object-based checkpoints without names."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind, Naming
from job.engine.architectures.facts import CAFFE, SCALED, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import LAYERS, under
from job.engine.architectures.resnet import Norm, ResNet
from job.engine.architectures.resnet_depths import DEPTHS, blocks_of, units_of
from job.engine.architectures.scopes import SCOPE, around, scope_of

COUNTED: Final = (
    "the checkpoint has numbers and no names: these are taken for the order in which Keras sorts the model's layers, "
    "which their shapes agree with"
)
AGE: Final = (
    "the names do not tell its age: it is taken for that of Keras 2.2.3, 2.2.4 and TensorFlow 1.12, 1.13; "
    "--architecture keras_old_resnet_{} is that of Keras until 2.0.6 and 2.1.5 to 2.2.2, whose first pool was not "
    "padded, and keras_old_resnet_{} that of Keras 2.0.7 to 2.1.4 and TensorFlow 1.4 to 1.10, whose first convolution "
    "was padded otherwise, too"
)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of Keras' applications.

    `first_block` is its order of layers as Keras sorts them. `layer` names a layer by its path. `kernel` is a pattern
    of a block's convolution, as ``res2a_branch2b``, and `numbers` of its group and its own name, ``2`` and ``a``.
    """

    scheme: str
    ending: str = ""
    title: str
    net: ResNet
    first_block: tuple[str, ...]
    layer: Callable[[str], str]
    numbers: str
    kernel: str
    heads: tuple[str, ...]
    takes: str = CAFFE


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose every model, by names, and by numbers where there are any."""
    yield from (_named(inventory, model) for model in MODELS)
    if any("layer_with_weights-" in name for name in inventory.weights):
        yield from (_numbered(inventory, model) for model in MODELS)


def _named(inventory: Inventory, model: Model) -> Proposal:
    """Name layers as their makers did; a second model in a graph has ``_1`` behind each: ``conv2_block1_1_conv_1``."""
    found = around(inventory, rf"{SCOPE}{model.kernel}(?P<suffix>(?:_\d+)?)/kernel")
    scope, suffix = found.get("scope", ""), found.get("suffix", "")
    head = next((head for head in model.heads if f"{scope}{head}{suffix}/kernel" in inventory.weights), "")
    units = units_of(blocks_of(inventory, re.escape(scope) + model.numbers))

    def names(path: str, kind: Kind) -> Mapping[str, str]:
        layer = path if kind == "dense" else model.layer(path)
        return under(f"{scope}{layer}{suffix}", LAYERS[kind])

    proposal = _proposal(model, replace(model.net, units=units, head=head), "", names)
    return replace(proposal, facts=(model.takes, classes_of(inventory, f"{scope}{head}{suffix}/kernel")))


def _numbered(inventory: Inventory, model: Model) -> Proposal:
    """Name layers by their numbers in the order that this model has, for which its shapes speak as well."""
    scope = scope_of(inventory, rf"{SCOPE}layer_with_weights-\d+/kernel")
    count = sum(name.endswith("/kernel") for name in inventory.weights)
    nets = [replace(model.net, units=DEPTHS[depth]) for depth in (50, 101, 152)]
    net = min(nets, key=lambda one: abs(one.depth + len(one.units) - count))
    order = {path: place for place, path in enumerate(_order(net, model))}
    head = f"{scope}layer_with_weights-{order[net.head]}/kernel"

    def names(path: str, kind: Kind) -> Mapping[str, str]:
        return under(f"{scope}layer_with_weights-{order[path]}", LAYERS[kind])

    proposal = _proposal(model, net if head in inventory.weights else replace(net, head=""), "_by_number", names)
    assumptions = (COUNTED, *proposal.assumptions)
    return replace(proposal, facts=(model.takes, classes_of(inventory, head)), assumptions=assumptions)


def _proposal(model: Model, net: ResNet, end: str, names: Naming) -> Proposal:
    """Return a proposal without its facts; `end` is that of the scheme."""
    others = [f"{net.depth}{other.ending}{end}" for other in (UNPADDED, SAME)]
    return Proposal(
        scheme=f"{model.scheme}_{net.depth}{model.ending}{end}",
        title=model.title.format(depth=net.depth),
        origin="keras-team/keras-applications, " + ("resnet50.py" if model.layer is _old else "resnet_common.py"),
        build=net,
        naming=lambda: names,
        assumptions=(AGE.format(*others),) if model is OLD else (),
        momentum=0.99,
    )


def _order(net: ResNet, model: Model) -> Iterator[str]:
    """Yield the paths of layers with weights in the order of ``model.layers``."""
    yield from ("root", "root/norm") if net.root_norm else ("root",)
    for group, count in enumerate(net.units, 1):
        for block in range(1, count + 1):
            layers = [layer for layer in model.first_block if block == 1 or "shortcut" not in layer]
            yield from (f"group{group}/block{block}/{layer}" for layer in layers)
    if net.version == 2:
        yield f"group{len(net.units)}/postnorm"
    yield net.head


def _new(path: str) -> str:
    """Return a layer's name in ``keras_applications.resnet`` and ``resnet_v2``: ``conv2_block1_0_bn``."""
    end = "bn" if "norm" in path or path.endswith("preact") else "conv"
    if path.endswith("postnorm"):
        return "post_bn"
    if path.startswith("root"):
        return f"conv1_{end}"
    group, block, layer, *_ = path.split("/")
    place = {"preact": "preact", "shortcut": "0", "conv1": "1", "conv2": "2", "conv3": "3"}[layer]
    return f"conv{_number(group) + 1}_block{_number(block)}_{place}_{end}"


def _old(path: str) -> str:
    """Return a layer's name in ``keras_applications.resnet50``: ``bn2a_branch1``."""
    if path.startswith("root"):
        return "bn_conv1" if "norm" in path else "conv1"
    group, block, layer, *_ = path.split("/")
    branch = {"shortcut": "1", "conv1": "2a", "conv2": "2b", "conv3": "2c"}[layer]
    letter = ascii_lowercase[(_number(block) - 1) % len(ascii_lowercase)]
    return f"{'bn' if 'norm' in path else 'res'}{_number(group) + 1}{letter}_branch{branch}"


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name))


ALL: Final = frozenset({"root", "conv1", "conv2", "conv3", "shortcut"})

V1: Final = Model(
    scheme="keras_resnet",
    title="Keras' ResNet{depth}",
    net=ResNet(units=(), stride_at="conv1", pool="zeros", biases=ALL, norm=Norm(1.001e-5), head="probs"),
    first_block=(
        *("conv1", "conv1/norm", "conv2", "conv2/norm"),
        *("shortcut", "conv3", "shortcut/norm", "conv3/norm"),
    ),
    layer=_new,
    numbers=r"conv(\d+)_block(\d+)_",
    kernel=r"conv\d+_block\d+_\d_conv",
    heads=("probs", "predictions"),
)
"""``keras_applications.resnet``, which is in TensorFlow since 1.14: strides in the 1x1, a bias in every convolution."""

V2: Final = replace(
    V1,
    scheme="keras_resnet_v2",
    title="Keras' ResNet{depth}V2",
    net=ResNet(
        version=2,
        units=(),
        stride_in="last",
        pool="zeros",
        biases=frozenset({"root", "conv3", "shortcut"}),
        norm=Norm(1.001e-5),
        root_norm=False,
        preact=Norm(1.001e-5),
        head="probs",
    ),
    first_block=("preact", "conv1", "conv1/norm", "conv2", "conv2/norm", "shortcut", "conv3"),
    takes=SCALED,
)
"""``keras_applications.resnet_v2``."""

OLD: Final = replace(
    V1,
    scheme="keras_old_resnet",
    title="the ResNet{depth} of Keras 2.2.3 and 2.2.4",
    net=replace(V1.net, norm=Norm(1e-3), head="fc1000"),
    first_block=(
        *("conv1", "conv1/norm", "conv2", "conv2/norm"),
        *("conv3", "shortcut", "conv3/norm", "shortcut/norm"),
    ),
    layer=_old,
    numbers=r"res(\d+)([a-z])_branch",
    kernel=r"res\d+[a-z]_branch\d[abc]?",
    heads=("fc1000",),
)
"""``keras_applications.resnet50`` of 1.0.6, where batch norm has Keras' own epsilon."""

UNPADDED: Final = replace(
    OLD,
    ending="_unpadded",
    title="the ResNet{depth} of Keras until 2.0.6 and 2.1.5 to 2.2.2",
    net=replace(OLD.net, pool="valid", last="7x7"),
)
"""The same until 1.0.5 (its issue 8)."""

SAME: Final = replace(
    UNPADDED,
    ending="_same",
    title="the ResNet{depth} of Keras 2.0.7 to 2.1.4 and TensorFlow 1.4 to 1.10",
    net=replace(UNPADDED.net, padding="same"),
)
"""The same where ``conv1`` is padded by SAME, as ``resnet50.py`` in these packages has it."""

MODELS: Final = (V1, V2, OLD, UNPADDED, SAME)
