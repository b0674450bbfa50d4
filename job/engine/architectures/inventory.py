"""What a checkpoint holds of a model, and what it holds besides: slots, averages, counters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from job.engine.architectures.matching import Shape
from job.engine.health.averages import SHADOW

SLOT: Final = re.compile(
    r"/((Momentum|Adam|RMSProp|Adagrad|Adadelta|Ftrl|AdamW|MomentumW|AdaMax|Nadam|AdagradDA|ProximalAdagrad|AddSign"
    r"|PowerSign|Yogi)(_\d+)?|(?i:lars|lamb)\w*|adam_[mv]|\.OPTIMIZER_SLOT/.*|biased|local_step)$"
)
"""What is put behind a variable's name: by optimizers, TF1's own and contrib's, BERT's and those of Keras' object-based
checkpoints, and by moving averages that correct their start, as Keras 2.2 has its batch norms do."""

AVERAGE: Final = "/ExponentialMovingAverage"
"""What evaluations save under such a name is all that there is of a weight; beside weights it is their average."""

COUNTER: Final = re.compile(
    r"(.*/)?(global_step|beta[12]_power|(current_)?loss_scale|loss_scale_normal_steps|good_steps|bad_steps|learning_rate|iter"
    r"|iterations|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH|_TRAINING_CONFIG|cg/step|step|decay|beta_[12]|momentum|lr|avg)"
    r"|optimizer/.*|EMA/.*"
)
"""Numbers of training that no layer reads."""

OTHER: Final = re.compile(
    r"(.*/)?mean_rgb|(training(_\d+)?/)?(Adadelta|Adagrad|Adam|Adamax|Ftrl|Nadam|RMSprop|SGD|TFOptimizer)(_\d+)?/.+"
)
"""Tensors of any shape that are none of the model: of the input, and what Keras' optimizers keep."""

_OBJECT: Final = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """A checkpoint's tensors, sorted.

    `weights` are shapes by name, where ``:0`` and what object-based checkpoints put behind names are
    left out; `keys` gives the checkpoint's own name of each. `extras` are all others, averages among them.
    `dtypes` are those of weights that are no float32, `config` is what a ``bert_config.json`` beside the
    checkpoint says.
    """

    weights: Mapping[str, Shape]
    keys: Mapping[str, str]
    extras: Mapping[str, Shape]
    dtypes: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def take(stored: Mapping[str, Shape], recorded: Mapping[str, str] | None = None) -> Inventory:
    """Sort a checkpoint's tensors; a slot or an average is one only where there is something that it is of.

    `recorded` are names of variables by key, as an object-based checkpoint has them beside the paths that
    its keys are: they are taken where there is one for every weight.
    """
    plain = {_plain(key, stored): key for key in stored}
    has_both = any(name + AVERAGE in plain for name in plain)
    names = plain if has_both else {name.removesuffix(AVERAGE): key for name, key in plain.items()}
    extras = {name for name, key in names.items() if _is_extra(name, names, stored[key])}
    keys = _recorded({name: key for name, key in names.items() if name not in extras}, recorded or {})
    return Inventory(
        weights={name: tuple(stored[key]) for name, key in keys.items()},
        keys=keys,
        extras={names[name]: tuple(stored[names[name]]) for name in sorted(extras)},
    )


def _recorded(keys: Mapping[str, str], recorded: Mapping[str, str]) -> Mapping[str, str]:
    named = {recorded[key]: key for key in keys.values() if recorded.get(key)}
    return named if len(named) == len(keys) else keys


def _plain(key: str, stored: Mapping[str, Shape]) -> str:
    """Return a key without what frameworks put behind names, unless another tensor is called so."""
    name = key.removesuffix(":0").removesuffix(_OBJECT)
    return key if name in stored else name


def _is_extra(name: str, names: Mapping[str, str], shape: Shape) -> bool:
    if OTHER.fullmatch(name) or (not shape and COUNTER.fullmatch(name)):
        return True
    slot_of, average_of = SLOT.sub("", name), SHADOW.sub("", SLOT.sub("", name))
    owners = {*_scoped(slot_of), average_of} if slot_of != name else {average_of}
    return average_of != name and not owners.isdisjoint(names)


def _scoped(name: str) -> Iterator[str]:
    """Yield a name without any of the scopes before it: slots may lie in that of the training."""
    parts = name.split("/")
    yield from ("/".join(parts[start:]) for start in range(len(parts)))
