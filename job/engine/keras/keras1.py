"""Configurations of Keras 1 in the words of Keras 2."""

from typing import Any, Final

from job.errors import BadInput

Json = dict[str, Any]

CLASSES: Final = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
}

ARGUMENTS: Final = {
    "output_dim": "units",
    "nb_filter": "filters",
    "bias": "use_bias",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "stride": "strides",
    "pool_length": "pool_size",
    "filter_length": "kernel_size",
    "atrous_rate": "dilation_rate",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "p": "rate",
    "sigma": "stddev",
    "input_dtype": "dtype",
    "dim_ordering": "data_format",
}
"""Keras 1's name of an argument → Keras 2's, the same for every layer but `Embedding`."""

GONE: Final = frozenset(
    {
        *("init", "inner_init", "forget_bias_init", "alpha_init", "beta_init", "depthwise_init", "pointwise_init"),
        *("t_left_init", "a_left_init", "t_right_init", "a_right_init", "consume_less", "input_length"),
    }
)
"""Arguments that only make first weights, choose an implementation, or repeat the input's shape."""

DATA_FORMATS: Final = {"th": "channels_first", "tf": "channels_last"}
SILENT: Final = ("UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D")
"""Layers that have a data format and did not write it down."""

MERGES: Final = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}


def translated(config: Json) -> Json:
    """Return a Keras 1 model's configuration as Keras 2 would have written it.

    Raises `BadInput` for the few things that Keras 2 cannot say.
    """
    return _model(config, "channels_first" if _holds(config, "dim_ordering", "th") else "channels_last")


def _model(described: Json, data_format: str) -> Json:
    kind, config = described["class_name"], described["config"]
    if kind == "Graph":
        raise BadInput("a Graph model of Keras 0", remedy="load it under Keras 1, rebuild it as a Model, save it again")
    if kind != "Sequential":
        return described | {"config": config | {"layers": [_layer(one, data_format) for one in config["layers"]]}}
    first = config[0] if config else {}
    if first.get("class_name") == "Merge" and "layers" in first["config"]:
        return _merged(described, data_format)
    return described | {"config": [*_whole_numbers(first), *(_layer(one, data_format) for one in config)]}


def _whole_numbers(first: Json) -> list[Json]:
    """Keras 1 fed an embedding that begins a model with integers, Keras 2 feeds it with floats."""
    config: Json = first.get("config", {})
    if first.get("class_name") != "Embedding" or "batch_input_shape" not in config:
        return []
    named = {"name": f"{config['name']}_input", "batch_input_shape": config["batch_input_shape"]}
    return [{"class_name": "InputLayer", "config": named | {"dtype": config.get("input_dtype") or "int32"}}]


def _layer(described: Json, data_format: str) -> Json:
    """Translate a layer; nested models and wrapped layers are layers too."""
    kind, config = described["class_name"], described["config"]
    if isinstance(config, list) or "layers" in config:
        return _model(described, data_format)
    if "layer" in config:
        own = _renamed(kind, {key: value for key, value in config.items() if key != "layer"})
        return described | {"config": own | {"layer": _layer(config["layer"], data_format)}}
    if kind == "TimeDistributedDense":
        inner = {"class_name": "Dense", "config": config | {"name": f"{config['name']}_dense"}}
        outer = {key: config[key] for key in ("name", "trainable", "batch_input_shape") if key in config}
        return described | {
            "class_name": "TimeDistributed",
            "config": outer | {"layer": _layer(inner, data_format)},
        }
    if kind == "Merge":
        return described | _merge(config)
    config = _renamed(kind, config)
    if kind in SILENT:
        config.setdefault("data_format", data_format)
    return described | {"class_name": CLASSES.get(kind, kind), "config": config}


def _renamed(kind: str, config: Json) -> Json:
    kept = {key: value for key, value in config.items() if key not in GONE and not key.endswith(("zer", "traint"))}
    if kind == "Embedding":
        return {key: value for key, value in kept.items() if key not in ("dropout", "input_dtype")}
    kept.pop("input_dim", None)
    renamed = {ARGUMENTS.get(key, key): value for key, value in kept.items()}
    if "data_format" in renamed:
        renamed["data_format"] = DATA_FORMATS.get(renamed["data_format"], renamed["data_format"])
    return _special(kind, renamed)


def _special(kind: str, config: Json) -> Json:
    """Translate what differs by the kind of layer."""
    for parts in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if parts[0] in config:
            config["kernel_size"] = [config.pop(part) for part in parts]
    if kind == "UpSampling1D":
        config["size"] = config.pop("length")
    if kind.startswith("ZeroPadding"):
        config["padding"] = _padding(kind, config["padding"])
    if kind == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise BadInput(
            f"{config['name']} is a batch normalization in a mode that normalizes by the batch at hand",
            remedy="Keras 2 has no such layer; export the graph by tf.train.Saver under Keras 1 and convert that",
        )
    return config


def _padding(kind: str, padding: Any) -> Any:
    """Keras 1 took a width for both ends, one for each end, or a mapping."""
    if isinstance(padding, dict):
        names = (("left_pad", "right_pad"),) if kind == "ZeroPadding1D" else _SIDES
        pairs = [[padding.get(first, 0), padding.get(second, 0)] for first, second in names]
        return pairs[0] if kind == "ZeroPadding1D" else pairs
    if kind == "ZeroPadding2D" and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


_SIDES: Final = (("top_pad", "bottom_pad"), ("left_pad", "right_pad"))


def _merge(config: Json) -> Json:
    mode = config["mode"]
    if config.get("mode_type", "raw") != "raw" or mode not in MERGES:
        raise BadInput(f"the Merge layer {config['name']} of mode {mode!r} has no layer in Keras 2")
    said: Json = {"name": config["name"], "trainable": config.get("trainable", True)}
    if mode == "concat":
        said["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        axes = config.get("dot_axes", -1)
        said["axes"] = [axis[0] if isinstance(axis, list) else axis for axis in axes] if _is_list(axes) else axes
    return {"class_name": MERGES[mode], "config": said}


def _merged(described: Json, data_format: str) -> Json:
    """Return a Sequential that begins with a Merge of other models as a functional model."""
    merge, *rest = described["config"]
    branches = [_model(one, data_format) for one in merge["config"]["layers"]]
    layers, ends = list[Json](), list[str]()
    for number, branch in enumerate(branches):
        name = f"{merge['config']['name']}_branch_{number + 1}"
        shape = _first_shape(branch)
        layers.append(
            _node("InputLayer", {"name": f"{name}_input", "batch_input_shape": shape[0], "dtype": shape[1]}, [])
        )
        layers.append(_node(branch["class_name"], branch["config"], [f"{name}_input"], name=name))
        ends.append(name)
    layers.append(_node(**_merge(merge["config"]), sources=ends, call=1))  # a model's own making is its call 0
    for one in rest:
        translated = _layer(one, data_format)
        layers.append(_node(translated["class_name"], translated["config"], [layers[-1]["name"]]))
    inputs = [[f"{end}_input", 0, 0] for end in ends]
    config = {
        "name": described.get("name", "model"),
        "layers": layers,
        "input_layers": inputs,
        "output_layers": [[layers[-1]["name"], 0, 0]],
    }
    return described | {"class_name": "Model", "config": config}


def _node(class_name: str, config: Any, sources: list[str], *, name: str = "", call: int = 0) -> Json:
    inbound = [[[source, call, 0] for source in sources]] if sources else []
    return {"class_name": class_name, "name": name or config["name"], "config": config, "inbound_nodes": inbound}


def _first_shape(branch: Json) -> tuple[list[int | None], str]:
    """Return the shape and type of a branch's input."""
    config = branch["config"]
    first = (config if isinstance(config, list) else config["layers"])[0]["config"]
    if isinstance(first, list):
        return _first_shape({"config": first})
    if "batch_input_shape" not in first:
        raise BadInput("a branch of the Merge layer does not say the shape of its input")
    return first["batch_input_shape"], first.get("dtype") or "float32"


def _holds(value: Any, key: str, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_holds(one, key, wanted) for one in value)
    if isinstance(value, dict):
        return value.get(key) == wanted or any(_holds(one, key, wanted) for one in value.values())
    return False


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
