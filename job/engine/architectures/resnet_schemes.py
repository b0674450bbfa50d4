"""Under which names ResNets were saved: one module for each code base that wrote them.

The sources are listed in docs/architectures.md; every scheme is proven by tests against the original
definition, run by TensorFlow 1.15.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, cast

from job.engine.architectures import (
    resnet_benchmarks,
    resnet_keras,
    resnet_numbered,
    resnet_nvidia,
    resnet_slim,
    resnet_tensorpack,
)
from job.engine.architectures.base import Family, Proposal
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.resnet import ResNet
from job.engine.architectures.resnet_depths import own_depth

SCHEMES: Final[tuple[Family, ...]] = (
    resnet_slim.propose,
    resnet_keras.propose,
    resnet_numbered.propose,
    resnet_nvidia.propose,
    resnet_benchmarks.propose,
    resnet_tensorpack.propose,
)


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose every scheme, its depth and head read from the checkpoint's names."""
    for scheme in SCHEMES:
        for proposal in scheme(inventory):
            net = cast("ResNet", proposal.build)
            yield replace(proposal, assumptions=(*proposal.assumptions, *own_depth(net.units)))
