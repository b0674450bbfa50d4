import pytest

from tests.bench import models
from tests.bench.preparing import OUTPUTS

pytestmark = pytest.mark.slow

BERT_LAYER_MACS = 12 * 768**2 * 128 + 2 * 128**2 * 768
"""Four products with 768 x 768 and two with 768 x 3072 a token, the scores, and the values weighted by them."""

KNOWN_GFLOP = {"resnet50": 2 * 4.09, "mobilenet_v2": 2 * 0.30, "bert": 2 * 12 * BERT_LAYER_MACS / 1e9}
"""Torchvision's table of models counts multiply-adds."""


@pytest.mark.parametrize("name", models.TITLES)
def test_operations_and_outputs(name: str) -> None:
    """Each network has the outputs that the bench asks for, and the known ones as many operations as others count."""
    from tests.bench.layers import Layers  # noqa: PLC0415 - with TensorFlow
    from tests.bench.networks import NETWORKS, built  # noqa: PLC0415 - as before

    _, layers, outputs = built(NETWORKS[name], Layers(0))
    assert tuple(outputs) == OUTPUTS[name]
    assert 2 * layers.macs / 1e9 == pytest.approx(KNOWN_GFLOP.get(name, 2 * layers.macs / 1e9), rel=0.01)
