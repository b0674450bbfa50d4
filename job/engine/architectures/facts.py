"""What a proposal says of its original: the images that it takes, and its classes."""

from typing import Final

from job.engine.architectures.inventory import Inventory

CAFFE: Final = "the original takes BGR from which (103.939, 116.779, 123.68) was subtracted"
VGG: Final = "the original takes RGB from which (123.68, 116.78, 103.94) was subtracted"
SCALED: Final = "the original takes RGB scaled to [-1, 1]"


def classes_of(inventory: Inventory, head: str) -> str:
    """Return a sentence about the labels, which the size of the last layer tells; `head` is its kernel's name."""
    shape = inventory.weights.get(head)
    if not shape:
        return "the checkpoint has no classifier: what it answers is the features, the last images' mean"
    count = shape[-1]
    if count == 1001:
        return "it has 1001 classes: class 0 is taken for the background, before ImageNet's 1000"
    return f"it has {count} classes" + (
        ": they are taken for ImageNet's, without a background" if count == 1000 else ""
    )
