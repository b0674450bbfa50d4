"""The architectures that checkpoints without a graph are recognised by; `ARCHITECTURES` lists their families.

A family proposes, for the names and shapes in a checkpoint, what wrote it; a proposal counts only
where every tensor is used once, by name and of its shape (`job.engine.architectures.matching`).
"""

from typing import Final

from job.engine.architectures import bert, inception, mobilenet, resnet_schemes, vgg
from job.engine.architectures.base import Family

ARCHITECTURES: Final[tuple[Family, ...]] = (
    resnet_schemes.propose,
    mobilenet.propose,
    inception.propose,
    vgg.propose,
    bert.propose,
)
"""Every family; where several fit exactly, the first holds."""
