"""Whether the layers of a configuration can be called one after another: Keras itself would look for ever."""

from collections.abc import Iterator
from typing import Any

from job.errors import BadInput

Json = dict[str, Any]
Call = tuple[str, int]


def check_order(value: Any) -> None:
    """Look at every functional model in a configuration.

    Raises `BadInput` for one whose layers wait for each other or for calls that there are not.
    """
    if isinstance(value, list):
        for one in value:
            check_order(one)
    elif isinstance(value, dict):
        if value.get("class_name") == "Functional":
            _check_model(value["config"])
        for one in value.values():
            check_order(one)


def _check_model(config: Json) -> None:
    waiting = dict(_calls(config))
    made: set[Call] = {(layer["name"], 0) for layer in config["layers"]}
    made -= {call for call in waiting if call[1] == 0}
    while ready := [call for call, needs in waiting.items() if needs <= made]:
        made |= set(ready)
        for call in ready:
            del waiting[call]
    if waiting:
        raise BadInput(
            f"layer {next(iter(waiting))[0]} takes what no layer before it gives",
            remedy="the file is damaged or edited",
        )


def _calls(config: Json) -> Iterator[tuple[Call, set[Call]]]:
    """Yield every call of a layer with the calls whose results it takes; a model's own making is its call 0."""
    for layer in config["layers"]:
        first = 1 if layer["class_name"] in ("Functional", "Sequential") else 0
        for number, node in enumerate(layer.get("inbound_nodes", [])):
            taken = {(one[0], one[1]) for one in node if isinstance(one, list) and isinstance(one[0], str)}
            yield (layer["name"], number + first), taken
