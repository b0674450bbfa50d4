"""What a checkpoint holds of a model, and what it holds besides: slots, averages, counters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from job.engine.architectures.matching import Shape
from job.engine.health.averages import SHADOW

SLOT: Final = re.compile(
    r"/(Momentum|Adam(_\d)?|RMSProp(_\d)?|Adagrad|Adadelta(_\d)?|Ftrl(_\d)?|[Ll]ars\w*|adam_[mv]|\.OPTIMIZER_SLOT/.*"
    r"|biased|local_step)$"
)
"""What is put behind a variable's name: by optimizers, TF1's own, BERT's and those of Keras' object-based checkpoints,
and by moving averages that correct their start, as Keras 2.2 has its batch norms do."""

COUNTER: Final = re.compile(
    r"(.*/)?(global_step|beta[12]_power|loss_scale|current_loss_scale|good_steps|mean_rgb|learning_rate|iterations"
    r"|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH|_TRAINING_CONFIG|cg/step|step|decay|beta_[12]|momentum|lr)"
    r"|optimizer/.*|training/.*|EMA/.*"
)
"""Tensors of training, or of the input, that no layer reads."""

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

    @property
    def is_object_based(self) -> bool:
        """Whether names are paths through Python objects."""
        return any(key.endswith(_OBJECT) for key in self.keys.values())


def take(stored: Mapping[str, Shape], recorded: Mapping[str, str] | None = None) -> Inventory:
    """Sort a checkpoint's tensors; a slot or an average is one only where there is something that it is of.

    `recorded` are names of variables by key, as an object-based checkpoint has them beside the paths that
    its keys are: they are taken where there is one for every weight.
    """
    names = {_plain(key): key for key in stored}
    extras = {name for name in names if _is_extra(name, names)}
    keys = _recorded({name: key for name, key in names.items() if name not in extras}, recorded or {})
    return Inventory(
        weights={name: tuple(stored[key]) for name, key in keys.items()},
        keys=keys,
        extras={names[name]: tuple(stored[names[name]]) for name in sorted(extras)},
    )


def _recorded(keys: Mapping[str, str], recorded: Mapping[str, str]) -> Mapping[str, str]:
    named = {recorded[key]: key for key in keys.values() if recorded.get(key)}
    return named if len(named) == len(keys) else keys


def _plain(key: str) -> str:
    return key.removesuffix(":0").removesuffix(_OBJECT)


def _is_extra(name: str, names: Mapping[str, str]) -> bool:
    if COUNTER.fullmatch(name):
        return True
    owner = SLOT.sub("", SHADOW.sub("", name))
    return owner != name and (owner in names or SHADOW.sub("", owner) in names)
