import pytest

from job.engine.architectures.inventory import take


@pytest.mark.parametrize(
    "extra",
    [
        "net/w/Momentum",
        "net/w/Adam",
        "net/w/Adam_1",
        "net/w/RMSProp_1",
        "net/w/ExponentialMovingAverage",
        "net/w/adam_m",
        "net/w/ExponentialMovingAverage/Momentum",
        "global_step",
        "train/global_step",
        "beta1_power",
        "loss_scale",
    ],
)
def test_what_training_left_is_no_weight(extra: str) -> None:
    """Slots, averages and counters are set apart, whatever scope they are in."""
    inventory = take({"net/w": (3, 4), extra: (3, 4)})
    assert set(inventory.weights) == {"net/w"}
    assert set(inventory.extras) == {extra}


def test_a_slot_of_nothing_is_a_weight() -> None:
    """A name that ends as a slot does, without the variable that it would be of, is not set apart unseen."""
    assert set(take({"net/Adam": (3,), "net/w": (3,)}).weights) == {"net/Adam", "net/w"}


def test_keys_lead_back_to_the_checkpoint() -> None:
    """What frameworks put behind names is taken off, and each name keeps the key that the value is stored by."""
    inventory = take({"layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": (2, 2), "_CHECKPOINTABLE_OBJECT_GRAPH": ()})
    assert inventory.keys == {"layer/kernel": "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"}
    assert inventory.is_object_based
    assert not take({"w": (1,)}).is_object_based
    assert take({"w:0": (1,)}).keys == {"w": "w:0"}
