"""MobileNet v1 (Howard et al. 2017, arXiv:1704.04861) and v2 (Sandler et al. 2018, arXiv:1801.04381) in slim's names.

Widths are the checkpoint's, whatever multiplier they came from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from job.engine.architectures import slim
from job.engine.architectures.base import Proposal
from job.engine.architectures.facts import SCALED, classes_of
from job.engine.architectures.inventory import Inventory
from job.engine.architectures.layers import Layers, Outputs, T, Window
from job.engine.architectures.scopes import SCOPE, scope_of

STRIDES_V1: Final = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the depthwise convolutions: table 1 of Howard et al., but for its last 2, which is a misprint: 7x7 stay 7x7."""

STRIDES_V2: Final = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
"""Of the inverted residuals: table 2 of Sandler et al."""

WINDOW: Final = 7
"""The mean of v1 is over 7x7 positions: what images above 224 pixels have besides does not count."""


@dataclass(frozen=True, kw_only=True)
class MobileNetV1:
    """Depthwise and pointwise convolutions in turn."""

    head: str

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or ``features``."""
        x = _conv(layers, layers.images([None, None, 3]), "Conv2d_0", Window((3, 3), 2))
        for number, stride in enumerate(STRIDES_V1, 1):
            x = _depthwise(layers, x, f"Conv2d_{number}_depthwise", stride)
            x = _conv(layers, x, f"Conv2d_{number}_pointwise", Window((1, 1)))
        return slim.answers(layers, layers.mean(layers.crop(x, WINDOW)), self.head)


@dataclass(frozen=True, kw_only=True)
class MobileNetV2:
    """Blocks that expand, convolve every channel by itself, and project without an activation."""

    head: str

    def __call__(self, layers: Layers[T]) -> Outputs[T]:
        """Build it: ``logits`` and ``probabilities``, or ``features``."""
        x = _conv(layers, layers.images([None, None, 3]), "Conv", Window((3, 3), 2))
        for number, stride in enumerate(STRIDES_V2):
            x = self._block(layers, x, f"expanded_conv_{number}" if number else "expanded_conv", stride)
        x = _conv(layers, x, "Conv_1", Window((1, 1)))
        return slim.answers(layers, layers.mean(x), self.head)

    def _block(self, layers: Layers[T], x: T, path: str, stride: int) -> T:
        """Leave out the first block's expansion, which would be by 1; add the input where its shape is the output's."""
        y = x if path == "expanded_conv" else _conv(layers, x, f"{path}/expand", Window((1, 1)))
        y = _depthwise(layers, y, f"{path}/depthwise", stride)
        y = slim.conv(layers, y, f"{path}/project", Window((1, 1)))
        return layers.add(x, y) if stride == 1 and layers.channels(x) == layers.channels(y) else y


def propose(inventory: Inventory) -> Iterator[Proposal]:
    """Propose both versions."""
    yield _proposal(inventory, 1, MobileNetV1, "Conv2d_0/weights", momentum=0.9997)
    yield _proposal(inventory, 2, MobileNetV2, "Conv/weights", momentum=0.997)


def _proposal(
    inventory: Inventory, version: int, net: type[MobileNetV1 | MobileNetV2], first: str, *, momentum: float
) -> Proposal:
    name = f"MobilenetV{version}"
    scope = scope_of(inventory, rf"{SCOPE}{name}/{first}") + name
    return Proposal(
        scheme=f"slim_mobilenet_v{version}",
        title=f"slim's MobileNet v{version}",
        origin=slim.ORIGIN + ("mobilenet_v1.py" if version == 1 else "mobilenet/mobilenet_v2.py"),
        build=net(head=slim.head_in(inventory, scope)),
        naming=lambda: slim.names(scope),
        facts=(SCALED, classes_of(inventory, f"{scope}/{slim.LOGITS}/weights")),
        momentum=momentum,
    )


def _conv(layers: Layers[T], x: T, path: str, window: Window) -> T:
    return layers.relu(slim.conv(layers, x, path, window), limit=6)


def _depthwise(layers: Layers[T], x: T, path: str, stride: int) -> T:
    x = layers.depthwise(x, path, Window((3, 3), stride))
    return layers.relu(layers.norm(x, f"{path}/BatchNorm", epsilon=slim.EPSILON), limit=6)
