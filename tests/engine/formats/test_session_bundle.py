import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.formats.session_bundle import COLLECTION, _message, adopt_signatures
from job.errors import BadInput


def bundle(*, default: str = "", named: bool = False) -> meta_graph_pb2.MetaGraphDef:
    """Return a MetaGraph with the signatures of a SessionBundle."""
    signatures = _message("Signatures")()
    if default == "regression":
        signatures.default.regression.input.tensor_name = "tf_example:0"
        signatures.default.regression.output.tensor_name = "y:0"
    if default == "classification":
        signatures.default.classification.input.tensor_name = "tf_example:0"
        signatures.default.classification.scores.tensor_name = "scores:0"
    if named:
        for key, argument, tensor in (("inputs", "x", "x:0"), ("outputs", "y", "y:0")):
            entry = signatures.named.add(key=key).value.generic.map.add(key=argument)
            entry.value.tensor_name = tensor
    meta_graph = meta_graph_pb2.MetaGraphDef()
    packed = meta_graph.collection_def[COLLECTION].any_list.value.add()
    packed.type_url = "type.googleapis.com/tensorflow.serving.Signatures"
    packed.value = signatures.SerializeToString()
    return meta_graph


def adopted(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, tuple[str, dict[str, str], dict[str, str]]]:
    adopt_signatures(meta_graph)
    return {
        key: (
            one.method_name.rpartition("/")[2],
            {name: info.name for name, info in one.inputs.items()},
            {name: info.name for name, info in one.outputs.items()},
        )
        for key, one in meta_graph.signature_def.items()
    }


def test_default_and_generic_signatures_are_adopted() -> None:
    """The default keeps its meaning, and inputs and outputs of its time are one signature beside it."""
    assert adopted(bundle(default="regression", named=True)) == {
        "serving_default": ("regress", {"inputs": "tf_example:0"}, {"outputs": "y:0"}),
        "predict": ("predict", {"x": "x:0"}, {"y": "y:0"}),
    }


def test_classification_without_classes() -> None:
    """Outputs that were not bound are none."""
    assert adopted(bundle(default="classification")) == {
        "serving_default": ("classify", {"inputs": "tf_example:0"}, {"scores": "scores:0"})
    }


def test_generic_signatures_alone_are_the_default() -> None:
    """Where nothing else is, they are what serves."""
    assert list(adopted(bundle(named=True))) == ["serving_default"]


def test_signatures_of_its_own_come_first() -> None:
    """A MetaGraph with signatures, and one that is no SessionBundle, stay as they are."""
    meta_graph = bundle(named=True)
    meta_graph.signature_def["mine"].method_name = "m"
    assert list(adopted(meta_graph)) == ["mine"]
    assert adopted(meta_graph_pb2.MetaGraphDef()) == {}


def test_damaged_signatures_are_bad_input() -> None:
    """What cannot be read is said to be damaged."""
    meta_graph = bundle(named=True)
    meta_graph.collection_def[COLLECTION].any_list.value[0].value = b"\x0a\xff"
    with pytest.raises(BadInput, match="SessionBundle"):
        adopt_signatures(meta_graph)
