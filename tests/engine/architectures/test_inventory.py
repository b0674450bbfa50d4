import pytest

from job.engine.architectures.inventory import take


@pytest.mark.parametrize(
    "extra",
    [
        "net/w/Momentum",
        "net/w/Adam",
        "net/w/Adam_1",
        "net/w/RMSProp_1",
        "net/w/AdamW_1",
        "net/w/Adam_12",
        "net/w/Yogi",
        "net/w/lamb_m",
        "net/w/LARSOptimizer",
        "net/w/ExponentialMovingAverage",
        "net/w/adam_m",
        "net/w/ExponentialMovingAverage/Momentum",
        "OptimizeLoss/net/w/Momentum",
        "training/Adam/net/w/m",
        "training_1/SGD/Variable_3",
        "Adam/net/w/m",
    ],
)
def test_what_training_left_is_no_weight(extra: str) -> None:
    """Slots and averages are set apart, whatever scope they are in."""
    inventory = take({"net/w": (3, 4), extra: (3, 4)})
    assert set(inventory.weights) == {"net/w"}
    assert set(inventory.extras) == {extra}


@pytest.mark.parametrize(
    "extra",
    [
        "global_step",
        "train/global_step",
        "beta1_power",
        "loss_scale",
        "loss_scale_normal_steps",
        "bad_steps",
        "loss/avg",
        "EMA/cost",
    ],
)
def test_a_counter_is_a_single_number(extra: str) -> None:
    """Numbers of training are set apart by their names; a tensor of such a name, as of a teacher's, is a weight."""
    assert set(take({"net/w": (3, 4), extra: ()}).extras) == {extra}
    assert set(take({"net/w": (3, 4), extra: (3, 4)}).weights) == {"net/w", extra}


@pytest.mark.parametrize("scope", ["EMA", "training", "optimizer"])
def test_a_second_network_is_not_set_apart(scope: str) -> None:
    """A network in a scope that training uses as well is not overlooked: such a checkpoint is no single model's."""
    assert set(take({"net/w": (3, 4), f"{scope}/net/w": (3, 4)}).weights) == {"net/w", f"{scope}/net/w"}


def test_an_average_alone_is_the_weight() -> None:
    """Where a checkpoint holds no more than a weight's average, as evaluation saves it, that is its value."""
    average = "net/w/ExponentialMovingAverage"
    inventory = take({average: (3, 4), "net/mean/EMA": (4,)})
    assert inventory.keys == {"net/w": average, "net/mean/EMA": "net/mean/EMA"}


def test_an_average_is_no_substitute_for_a_lost_weight() -> None:
    """Where training kept both of another weight, one that has only its average is lost, and not made up for."""
    averages = {"net/w/ExponentialMovingAverage": (3, 4), "net/b/ExponentialMovingAverage": (4,)}
    assert set(take({"net/w": (3, 4), **averages}).weights) == {"net/w", "net/b/ExponentialMovingAverage"}


def test_a_slot_of_nothing_is_a_weight() -> None:
    """A name that ends as a slot does, without the variable that it would be of, is not set apart unseen."""
    assert set(take({"net/Adam": (3,), "net/w": (3,)}).weights) == {"net/Adam", "net/w"}


def test_keys_lead_back_to_the_checkpoint() -> None:
    """What frameworks put behind names is taken off, and each name keeps the key that the value is stored by."""
    inventory = take({"layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": (2, 2), "_CHECKPOINTABLE_OBJECT_GRAPH": ()})
    assert inventory.keys == {"layer/kernel": "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"}
    assert take({"w:0": (1,)}).keys == {"w": "w:0"}


def test_no_tensor_is_lost_to_another_of_nearly_its_name() -> None:
    """Where two keys would come to one name, each keeps its own, so that neither is overlooked."""
    assert take({"w": (1,), "w:0": (2,)}).weights == {"w": (1,), "w:0": (2,)}
