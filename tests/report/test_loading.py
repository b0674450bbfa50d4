import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from job import codec
from job.plan import tensorflow_version
from job.records import ArtifactReport, Finding, Signature, TensorSpec
from job.report import render_html
from job.report.loading import JSON_DTYPES, PATIENCE_S, SERVER, loading_snippets
from tests import samples
from tests.architectures import originals
from tests.jobs import GOLDENS, run_job

CASES = {
    "one input": "resnet50_saved_model",
    "two inputs": "odd_signatures_saved_model",
    "several signatures": "multi_signature_saved_model",
    "strings": "vocabulary_saved_model",
    "examples": "examples_saved_model",
    "unknown rank": "while_loop_checkpoint",
    "no identifier": "odd_signatures_saved_model",
    "scalars": "odd_signatures_saved_model",
    "no inputs": "odd_signatures_saved_model",
}
CHOSEN = {"no identifier": "renamed", "scalars": "scalars", "no inputs": "no inputs"}
"""The only signature to publish, and then there is no serving_default."""


BARE = "bare"
"""A VGG's checkpoint without its graph: images of any size, but no answer for those of one pixel."""


class Program(HTMLParser):
    """The programs of a page, as a reader copies them, by their headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: dict[str, str] = {}
        self._heading = self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, _: object) -> None:
        """Note where text belongs."""
        self._tag = tag

    def handle_endtag(self, tag: str) -> None:
        """Text behind a program is no part of it."""
        self._tag = "" if tag in {"pre", "h3"} else self._tag

    def handle_data(self, data: str) -> None:
        """Keep headings and programs."""
        if self._tag == "h3":
            self._heading = data
        elif self._tag == "pre":
            self.lines[self._heading] = self.lines.get(self._heading, "") + data


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Convert all cases in one run and return the directory of each one's report."""
    folder = tmp_path_factory.mktemp("loading")
    for name, case in CASES.items():
        shutil.copytree(GOLDENS / case, folder / "source" / name)
    originals.case("vgg_19_narrow").write(folder / "source" / BARE)
    entries = [{"match": f"{name}/*", "signatures": [key]} for name, key in CHOSEN.items()]
    (folder / "manifest.yaml").write_text(json.dumps({"artifacts": entries}))
    ended = run_job(
        *("run", "--source", str(folder / "source"), "--dest", str(folder / "dest")),
        *("--manifest", str(folder / "manifest.yaml"), "--device", "cpu", "--benchmark", "off"),
    )
    assert ended.code == 0, ended.stderr
    places = {name: next((folder / "dest" / name).rglob("report.html")).parent for name in (*CASES, BARE)}
    with np.load(GOLDENS / "examples_saved_model" / "golden.npz") as golden:
        (places["examples"] / "example.bin").write_bytes(base64.b64decode(golden["in_examples"][0]))
    return places


def programs(place: Path) -> dict[str, str]:
    return Program((place / "report.html").read_text()).lines


def report_of(place: Path) -> ArtifactReport:
    return codec.loads((place / "report.json").read_text(), ArtifactReport)


def ran(program: str) -> dict[str, Any]:
    """Run a program here and return its variables."""
    variables: dict[str, Any] = {}
    exec(program, variables)  # noqa: S102 - that what a reader copies runs is what this is about
    return variables


def shown(report: ArtifactReport) -> Signature:
    assert report.summary is not None
    signatures = report.summary.signatures
    return next((one for one in signatures if one.key == "serving_default"), signatures[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_programs_of_a_report_run_as_printed(
    published: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the report, plain TensorFlow and Keras print every output of the signature, and the same."""
    monkeypatch.chdir(published[name])
    found = programs(published[name])
    signature = shown(report_of(published[name]))
    tensorflow = ran(found["TensorFlow"])["answers"]
    assert set(tensorflow) == {output.key for output in signature.outputs}
    assert capsys.readouterr().out
    if name == "no inputs":
        assert "Keras 3" not in found
        return
    keras = ran(found["Keras 3"])
    assert ("model" in keras) == (name not in {"unknown rank", "strings"})
    for key, answer in tensorflow.items():
        np.testing.assert_array_equal(keras["answers"][key], answer)


@pytest.mark.slow
def test_the_programs_of_a_bare_checkpoint_run_as_printed(
    published: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain TensorFlow answers an image, and Keras loads ``model.keras``, which answers alike."""
    monkeypatch.chdir(published[BARE])
    found = programs(published[BARE])
    answers = ran(found["TensorFlow"])["answers"]
    model = ran(found["Keras 3"])["model"]
    said = model(np.zeros((1, 224, 224, 3), np.float32))
    assert set(said) == set(answers) == {"logits", "probabilities"}
    np.testing.assert_allclose(said["logits"], answers["logits"], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one input", "two inputs", "examples", "no identifier", "no inputs"])
def test_the_body_for_serving_calls_the_signature(
    published: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands lay the model out as TF Serving wants it, and read as TF Serving does the body gives the same."""
    import tensorflow as tf

    monkeypatch.chdir(published[name])
    lines = programs(published[name])["TF Serving"]
    commands = [line for line in lines.splitlines() if line.startswith(("mkdir", "python3"))]
    for command in commands * 2:  # a reader may do it again
        subprocess.run(["sh", "-c", command], check=True)  # noqa: S607 - the shell that readers have
    served = re.search(r"/v1/models/([^/:]+):predict$", lines, re.MULTILINE)
    assert served is not None
    sent = json.loads(Path("body.json").read_text())
    signature = shown(report_of(published[name]))
    assert sent["signature_name"] == signature.key
    fed = {spec.key: tf.constant(decoded(sent["inputs"][spec.key]), spec.dtype) for spec in signature.inputs}
    assert set(fed) == set(sent["inputs"])
    answers = tf.saved_model.load(f"models/{served[1]}/1").signatures[signature.key](**fed)
    for key, answer in ran(programs(published[name])["TensorFlow"])["answers"].items():
        np.testing.assert_array_equal(answers[key], answer)


def decoded(value: Any) -> Any:
    """Return what TF Serving makes of a value in JSON: an object ``{"b64": ...}`` stands for bytes."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def with_inputs(*specs: TensorSpec, **changed: Any) -> ArtifactReport:
    signature = replace(samples.SIGNATURE, inputs=specs, **changed)
    return replace(samples.PUBLISHED, summary=replace(samples.SUMMARY, signatures=(signature,)))


def spec(key: str, dtype: str = "float32", shape: tuple[int | None, ...] | None = (None, 3)) -> TensorSpec:
    return TensorSpec(key=key, tensor="x:0", dtype=dtype, shape=shape)


def lines_of(report: ArtifactReport) -> Iterator[str]:
    return ("\n".join(snippet.lines) for snippet in loading_snippets(report))


@pytest.mark.parametrize("key", ["it's", 'a "quoted" key', "ключ 🙂", "a\nb", "$HOME `id` \\"])
def test_any_key_can_be_copied(key: str, tmp_path: Path) -> None:
    """Quotes, other alphabets, line ends and what a shell would expand reach Python and JSON as they are."""
    plain, keras, serving = lines_of(with_inputs(spec(key)))
    for program in (plain, keras):
        compile(program, "report", "exec")
    assert json.dumps(key, ensure_ascii=False) in plain
    command = serving[serving.index("python3 -c") : serving.index("\ncurl -d")]
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path)  # noqa: S607 - the shell that readers have
    assert list(json.loads((tmp_path / "body.json").read_text())["inputs"]) == [key]


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((None, None, None, 3), "[1, 224, 224, 3]"),
        ((8, None, None, 1), "[8, 224, 224, 1]"),
        ((None, 32, 32, 3), "[1, 32, 32, 3]"),
        ((None, None, None, 7), "[1, 1, 1, 7]"),
        ((None, None), "[1, 1]"),
        (None, "[1]"),
    ],
)
def test_free_sizes_are_as_small_as_they_may_be(shape: tuple[int | None, ...] | None, sizes: str) -> None:
    """VGG has no answer for a single pixel, so images of any size are of 224; all else is 1."""
    plain, *_ = lines_of(with_inputs(spec("x", shape=shape)))
    assert f"tf.zeros({sizes}, tf.float32)" in plain


def test_the_default_signature_is_the_one_to_load() -> None:
    """Of several signatures the programs show serving_default, else the first."""
    other = replace(samples.SIGNATURE, key="embed")
    for signatures, chosen in (((other, samples.SIGNATURE), "serving_default"), ((other,), "embed")):
        report = replace(samples.PUBLISHED, summary=replace(samples.SUMMARY, signatures=signatures))
        assert all(f'"{chosen}"' in program for program in lines_of(report))


def test_what_the_model_decodes_comes_from_a_file() -> None:
    """An empty string is no image: where a decoder is behind a string, the programs read a file and say so."""
    own = replace(samples.SIGNATURE, inputs=(spec("image", "string", (None,)), spec("name", "string", (None,))))
    added = replace(own, key="serving_default_decoded", inputs=own.inputs[1:], beside="serving_default")
    report = replace(samples.PUBLISHED, summary=replace(samples.SUMMARY, signatures=(own, added)))
    for snippet in loading_snippets(report):
        assert "\n".join(snippet.lines).count('"encoded.bin"') == 1
        assert snippet.note == "Put an encoded image or sound of yours into encoded.bin."


def test_a_proven_keras_file_is_what_keras_loads() -> None:
    """With model.keras beside it, nobody needs a layer around the SavedModel."""
    summary = replace(samples.SUMMARY, findings=(Finding(code="keras_file", cause="it is there"),))
    _, keras, _ = lines_of(replace(samples.PUBLISHED, summary=summary))
    assert 'keras.saving.load_model("model.keras")' in keras
    assert "TFSMLayer" not in keras


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_no_curl_for_what_json_cannot_carry(dtype: str) -> None:
    """TF Serving refuses such a body, so none is shown; how the server is started still is."""
    assert dtype not in JSON_DTYPES
    *_, serving = loading_snippets(with_inputs(spec("x", dtype)))
    assert [line.split()[0] for line in serving.lines] == ["mkdir", "docker", "for"]
    assert dtype in serving.note


TOOLS = {
    "docker": 'echo "docker $1" >> calls',
    "sleep": "echo sleep >> calls",
    "curl": """case "$*" in *:predict) echo ask >> calls;; *)
        [ "$(grep -c sleep calls)" -ge "$READY_AFTER" ] && echo '{"state": "AVAILABLE"}';; esac""",
}


@pytest.mark.parametrize("ready_after", [0, 3, PATIENCE_S, 10 * PATIENCE_S])
def test_the_request_waits_for_the_server_and_ends_it(tmp_path: Path, ready_after: int) -> None:
    """Typed as they are, and twice, the lines start a server, ask it when it is ready or too late, and end it."""
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    for name, does in TOOLS.items():
        (tmp_path / "tools" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "tools" / name).chmod(0o755)
    *_, serving = lines_of(with_inputs(spec("x")))
    around = {"PATH": f"{tmp_path}/tools:{os.environ['PATH']}", "READY_AFTER": str(ready_after)}
    for _ in range(2):
        (tmp_path / "calls").unlink(missing_ok=True)
        subprocess.run(["sh", "-ec", serving], check=True, cwd=tmp_path, env=around)  # noqa: S607 - the reader's
        calls = (tmp_path / "calls").read_text().splitlines()
        assert calls == ["docker run", *["sleep"] * min(ready_after, PATIENCE_S), "ask", "docker rm"]
    assert [path.name for path in (tmp_path / "models").glob("*/1/*")] == ["variables"]


def test_the_server_is_as_new_as_what_writes_the_models() -> None:
    """Its image is named by its version, of the same minor version as the TensorFlow that is installed here."""
    name, _, tag = SERVER.partition(":")
    assert name == "tensorflow/serving"
    assert tag.split(".")[:2] == tensorflow_version().split(".")[:2]
    *_, serving = lines_of(with_inputs(spec("x")))
    assert f" {SERVER}\n" in serving


def test_the_name_to_serve_is_one_part_of_an_address() -> None:
    """Slashes, spaces and colons of an artifact's name would end a path in TF Serving's address or in the shell."""
    report = replace(samples.PUBLISHED, artifact=replace(samples.ARTIFACT, name="a b/c:d;e"))
    *_, serving = lines_of(report)
    assert "/v1/models/a_b_c_d_e:predict" in serving


def test_nothing_to_load_nothing_to_say() -> None:
    """What was not published has no program and no heading."""
    assert loading_snippets(samples.BROKEN) == ()
    assert "How to load it" not in render_html(samples.BROKEN)
