import pytest

import job.manifest
from job.errors import UsageError
from job.manifest import Manifest, load_manifest
from job.records import ArtifactOptions


def _options(line: str) -> ArtifactOptions:
    return load_manifest(f"artifacts:\n- match: x\n  {line}\n", "m.yaml").entries[0].options


def test_manifest_in_the_docstring_is_read_whole() -> None:
    """The documented example uses every key, and is what a reader of it expects."""
    example = "\n".join(line for line in (job.manifest.__doc__ or "").splitlines() if line.startswith("    "))
    assert load_manifest(example, "m.yaml").options_for("resnet50/frozen.pb") == ArtifactOptions(
        tags=("serve",),
        signatures=("predict",),
        inputs={"images": "images:0"},
        outputs={"logits": "fc/BiasAdd:0"},
        assets={"/gone/vocab.txt": "resnet50/vocab.txt"},
        tolerance=1e-4,
        batch_sizes=(1, 32),
        samples="inputs.npz",
        goldens="outputs.npz",
        allow_nonfinite=True,
        allow_ops=("FixedUnigramCandidateSampler",),
        sha256={"resnet50/frozen.pb": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    )


def test_first_entry_that_fits_holds_alone() -> None:
    """Entries are not merged; an artifact that none fits has the defaults."""
    manifest = load_manifest("artifacts: [{match: 'a/*', tolerance: 1}, {match: '*', tags: [t]}]", "m.yaml")
    assert manifest.options_for("a/b") == ArtifactOptions(tolerance=1.0)
    assert manifest.options_for("c") == ArtifactOptions(tags=("t",))
    assert Manifest().options_for("c") == ArtifactOptions()


def test_entries_that_fit_nothing_are_told() -> None:
    """A misspelt glob is found by the names there are."""
    manifest = load_manifest("artifacts: [{match: resnet50}, {match: resnet51}]", "m.yaml")
    assert manifest.unmatched(["resnet50/frozen.pb"]) == ("resnet51",)


def test_no_tags_and_tags_unsaid_differ() -> None:
    """A TF-Hub module's MetaGraph has the empty set of tags, which can be asked for."""
    assert (_options("tags: []").tags, _options("tags:").tags) == ((), None)


@pytest.mark.parametrize("text", ["1e-5", "0.00001", "1.0e-5"])
def test_tolerance_is_read_in_every_spelling(text: str) -> None:
    """YAML 1.1 takes ``1e-5`` for text."""
    assert _options(f"tolerance: {text}").tolerance == 1e-5


@pytest.mark.parametrize(
    ("text", "name", "read"),
    [
        ("ema: on", "ema", "on"),
        ("ema: 'off'", "ema", "off"),
        ("dropout: off", "dropout", "off"),
        ("target_tf: 2.4", "target_tf", "2.4"),
        ("target_tf: 2.10", "target_tf", "2.10"),
        ("target_tf: '2.10'", "target_tf", "2.10"),
    ],
)
def test_choices_need_no_quotes(text: str, name: str, read: str) -> None:
    """YAML 1.1 takes ``off`` for false and ``2.10`` for the number 2.1."""
    assert getattr(_options(text), name) == read


def test_list_of_tensors_is_keyed_by_their_last_parts() -> None:
    """Keys are legal as argument names and unique; the tensors stay as they were written."""
    inputs = _options("inputs: ['tower/image:0', 'other/image:0', 'b-c:1', '1x', '_/_']").inputs
    assert inputs == {
        "image": "tower/image:0",
        "image_1": "other/image:0",
        "b_c": "b-c:1",
        "tensor_1x": "1x",
        "tensor": "_/_",
    }


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("[]", 1, "mapping"),
        ("artifact: []", 1, "did you mean 'artifacts'?"),
        ("artifacts: {}", 1, "no list"),
        ("artifacts: {a", 1, "no YAML"),
        ("artifacts:\n- match: x\n  tolerence: 1", 3, "did you mean 'tolerance'?"),
        ("artifacts:\n- match: x\n  colour: 1", 3, "the keys are match, tags"),
        ("artifacts:\n- match: x\n  batch_norm: inferense", 3, "found 'inferense'; did you mean 'inference'?"),
        ("artifacts:\n- match: x\n\n  match: y", 4, "twice"),
        ("artifacts:\n- tags: [a]", 2, "no 'match'"),
        ("artifacts:\n- match: ''", 2, "no 'match'"),
        ("artifacts:\n- x", 2, "mapping"),
        ("artifacts:\n- match: x\n  tags: serve", 3, "tags: expected a list, found 'serve'"),
        ("artifacts:\n- match: x\n  tags: [1]", 3, "tags: expected text, found 1"),
        ("artifacts:\n- match: x\n  batch_sizes: [1, 2.5]", 3, "batch_sizes: expected a whole number, found 2.5"),
        ("artifacts:\n- match: x\n  batch_sizes: [0]", 3, "from 1 on"),
        ("artifacts:\n- match: x\n  tolerance: -1", 3, "from 0 on"),
        ("artifacts:\n- match: x\n  tolerance: .nan", 3, "from 0 on"),
        ("artifacts:\n- match: x\n  sha256: {x.pb: abc}", 3, "64 hexadecimal digits"),
        ("artifacts:\n- match: x\n  tolerance: tight", 3, "tolerance: expected a number, found 'tight'"),
        ("artifacts:\n- match: x\n  dropout: on", 3, "dropout: expected auto, off, as_saved, found True"),
        ("artifacts:\n- match: x\n  target_tf: 2.3", 3, "2.20, 2.21, found '2.3'"),
        ("artifacts:\n- match: x\n  inputs: {x: 1}", 3, "inputs: expected text, found 1"),
        ("artifacts:\n- match: x\n  inputs: [1]", 3, "inputs: expected text, found 1"),
        ("artifacts:\n- match: x\n  assets: [vocab.txt]", 3, "assets: expected a mapping"),
        ("artifacts:\n- match: x\n  allow_nonfinite: 'no'", 3, "allow_nonfinite: expected true or false, found 'no'"),
        ("artifacts:\n- match: x\n  samples: !!python/name:os.system", 3, "no YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, line: int, words: str) -> None:
    """Every mistake ends as a usage error that says what is wrong, in which line."""
    with pytest.raises(UsageError) as caught:
        load_manifest(text, "m.yaml")
    assert caught.value.where == f"m.yaml:{line}"
    assert words in f"{caught.value.what} {caught.value.remedy}"


def test_character_that_yaml_cannot_hold_is_told() -> None:
    """A binary file given as manifest is a usage error too, though it has no lines."""
    with pytest.raises(UsageError, match="no YAML"):
        load_manifest("artifacts: \x00", "m.yaml")
