"""ResNets of tf_cnn_benchmarks, ``models/resnet_model.py``: below ``v/cg/`` or ``v0/cg/``, all layers with numbers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from job.engine.architectures.base import Proposal
from job.engine.architectures.catalogue import Kind
from job.engine.architectures.facts import SCALED, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.naming import LAYERS, SLIM, under
from job.engine.architectures.resnet import Norm, ResNet
from job.engine.architectures.resnet_depths import DEPTHS
from job.engine.architectures.scopes import SCOPE, scope_of

VERSIONS: Final = {
    "v1": ResNet(units=(), stride_at="conv1"),
    "v1.5": ResNet(units=()),
    "v2": ResNet(version=2, units=(), stride_at="conv1", preact=Norm(1e-3, scale=False)),
}
"""In v2 what is normalised outside of a convolution has the builder's defaults, and the root has a batch norm, too."""


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose every version; ``resnet_v15`` is the sixth block of v1, ``resnet_v1.50`` the first of v1.5."""
    for version, net in VERSIONS.items():
        block = rf"resnet_{re.escape(version)}(\d+)"
        scope = scope_of(inventory, rf"{SCOPE}{block}/.+") or "v0/cg/"
        found = {match[1] for name in inventory.weights if (match := re.match(re.escape(scope) + f"{block}/", name))}
        units = min((DEPTHS[depth] for depth in (50, 101, 152)), key=lambda units: abs(sum(units) - len(found)))
        head = f"{scope}affine0/weights"
        build = replace(net, units=units, head="affine0" if head in inventory.weights else "")
        yield Proposal(
            scheme=f"benchmarks_resnet_{version.replace('.', '_')}_{build.depth}",
            title=f"the ResNet-{build.depth} {version} of tf_cnn_benchmarks",
            origin="tensorflow/benchmarks, scripts/tf_cnn_benchmarks/models/resnet_model.py",
            build=build,
            naming=partial(_Counted, scope, version),
            facts=(SCALED, classes_of(inventory, head)),
            momentum=0.9,
        )


class _Counted:
    """Names in the order in which the original makes its layers: ``resnet_v10/conv1/batchnorm1``."""

    def __init__(self, scope: str, version: str) -> None:
        self._scope = scope
        self._version = version
        self._blocks = list[str]()
        self._counts = Counter[str]()
        self._conv = ""

    def __call__(self, path: str, kind: Kind) -> Mapping[str, str]:
        """Return the names of the next layer; a convolution's batch norm is inside its scope."""
        if kind == "dense":
            return under(f"{self._scope}affine0", SLIM[kind])
        if kind == "conv":
            self._conv = f"{self._scope}{self._block(path)}{self._next('conv')}/"
            return under(f"{self._conv}conv2d", LAYERS[kind])
        is_outside = path.endswith(("preact", "postnorm"))
        return under((self._scope if is_outside else self._conv) + self._next("batchnorm"), LAYERS[kind])

    def _block(self, path: str) -> str:
        block = path.rpartition("/")[0]
        if not block:
            return ""
        if block not in self._blocks:
            self._blocks.append(block)
        return f"resnet_{self._version}{self._blocks.index(block)}/"

    def _next(self, stem: str) -> str:
        count = self._counts[stem]
        self._counts[stem] += 1
        return f"{stem}{count}"
