from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from job.errors import UsageError
from job.given_graph import with_given_graph
from job.manifest import load_manifest
from job.records import Artifact, ArtifactOptions, Format
from job.settings import Settings
from tests.storage.raw import put_raw

pytest_plugins = ["tests.storage.stores"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write graphs, rules and modules, as the user has them: beside the manifest, and where the job is run."""
    (tmp_path / "said").mkdir()
    for name in ("flag.pb", "said/entry.pb"):
        (tmp_path / name).write_bytes(name.encode())
    for name in ("flag.yaml", "said/entry.yaml"):
        (tmp_path / name).write_text("- {pattern: a, replace: b}")
    for name in ("users_flag.py", "users_entry.py"):
        (tmp_path / name).touch()
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(here: Path, entry: str = "", format_: Format = Format.CHECKPOINT, **flags: Any) -> ArtifactOptions:
    """Return what is made of a manifest's entry and of flags."""
    manifest = str(here / "said" / "m.yaml")
    options = load_manifest(f"artifacts: [{{match: m, {entry}}}]", manifest).options_for("m")
    artifact = Artifact(name="m", format=format_, entry="m", objects=())
    return with_given_graph(options, Settings(manifest=manifest, **flags), artifact, here / "scratch")


def content(path: str) -> str:
    return Path(path).read_text() if path else ""


@pytest.mark.parametrize(
    ("entry", "flags", "graph", "architecture"),
    [
        ("", {}, "", ""),
        ("", {"graph": "flag.pb"}, "flag.pb", ""),
        ("", {"architecture": "users_flag:f"}, "", "users_flag:f"),
        ("graph: entry.pb", {}, "said/entry.pb", ""),
        ("graph: entry.pb", {"graph": "flag.pb"}, "said/entry.pb", ""),
        ("graph: entry.pb", {"architecture": "users_flag:f"}, "said/entry.pb", ""),
        ("architecture: 'users_entry:f'", {"graph": "flag.pb"}, "", "users_entry:f"),
        ("architecture: 'users_entry:f'", {"architecture": "users_flag:f"}, "", "users_entry:f"),
    ],
)
def test_an_entry_comes_before_the_flags(
    here: Path, entry: str, flags: dict[str, Any], graph: str, architecture: str
) -> None:
    """A flag is for every checkpoint of the run, an entry for one; its paths are relative to the manifest."""
    options = given(here, entry, **flags)
    assert content(options.graph) == graph
    assert options.architecture == (f"{architecture}@{here}" if architecture else "")


def test_the_name_of_an_architecture_is_handed_on(here: Path) -> None:
    """Which there are, the engine knows."""
    assert given(here, architecture="slim_resnet_v1_50").architecture == "slim_resnet_v1_50"


def test_rules_go_with_either(here: Path) -> None:
    """Those of the flag hold for an entry's function, and are not for checkpoints to which no entry gives a graph."""
    assert given(here, "architecture: 'users_entry:f'", rules="flag.yaml").rules.endswith("/flag.yaml")
    assert given(here, "rules: entry.yaml", graph="flag.pb", rules="flag.yaml").rules.endswith("/entry.yaml")
    with capture_logs() as events:
        assert given(here, rules="flag.yaml").rules == ""
        assert given(here, "architecture: slim_resnet_v1_50", rules="flag.yaml").rules == ""
    assert [event["event"] for event in events] == ["rules_not_used"] * 2


@pytest.mark.parametrize("architecture", ["", "slim_resnet_v1_50"])
def test_rules_that_nothing_can_use_are_refused(architecture: str) -> None:
    """They would change nothing, and whoever gave them would not know."""
    settings = Settings(rules="flag.yaml", architecture=architecture)
    artifact = Artifact(name="m", format=Format.CHECKPOINT, entry="m", objects=())
    with pytest.raises(UsageError, match="--rules without a graph of yours; give a graph, or the function"):
        with_given_graph(ArtifactOptions(), settings, artifact, Path())


def test_files_may_lie_in_a_store(here: Path, moto_uri: str) -> None:
    """As the checkpoints do; the supervisor pulls them, and what is not there is told as of a path."""
    put_raw(moto_uri, "model.pb", b"stored")
    put_raw(moto_uri, "rules.yaml", b"- {pattern: a, replace: b}")
    uri = moto_uri.rstrip("/")
    options = given(here, graph=f"{uri}/model.pb", rules=f"{uri}/rules.yaml")
    assert (content(options.graph), content(options.rules)) == ("stored", "- {pattern: a, replace: b}")
    with pytest.raises(UsageError, match=r"no such file; s3://.*/absent\.pb"):
        given(here, graph=f"{uri}/absent.pb")


def test_a_graph_is_pulled_once(here: Path) -> None:
    """A thousand checkpoints share it."""
    first = given(here, graph="flag.pb").graph
    (here / "flag.pb").unlink()
    assert given(here, graph="flag.pb").graph == first


@pytest.mark.parametrize(
    ("entry", "flags", "said"),
    [
        ("graph: entry.pb, architecture: 'users_entry:f'", {}, "given twice.*said/m.yaml"),
        ("", {"graph": "flag.pb", "architecture": "users_flag:f"}, "given twice"),
        ("graph: absent.pb", {}, "no such file; .*/said/absent.pb"),
        ("", {"graph": "absent.pb"}, "no such file; absent.pb"),
        ("", {"graph": "said"}, "no such file"),
        ("", {"architecture": "users.flag"}, "names no function"),
        ("architecture: users.flag", {}, "names no function"),
        ("", {"architecture": "users_absent:f"}, "no module 'users_absent'"),
        ("rules: entry.yaml", {}, "rules without a graph of yours"),
        ("rules: entry.yaml, architecture: slim_resnet_v1_50", {}, "rules without a graph of yours"),
        ("", {"graph": "flag.pb", "rules": "flag.pb"}, "the rules are no list; flag.pb"),
    ],
)
def test_what_is_said_wrongly_is_told_at_once(here: Path, entry: str, flags: dict[str, Any], said: str) -> None:
    """Before anything is converted."""
    with pytest.raises(UsageError, match=said):
        given(here, entry, **flags)


def test_wrong_flag_is_told_where_no_checkpoint_is(here: Path) -> None:
    """Its form is wrong whatever is converted."""
    with pytest.raises(UsageError, match="names no function"):
        given(here, format_=Format.SAVED_MODEL, architecture="users.flag")


def test_flag_is_not_for_models_with_a_graph(here: Path) -> None:
    """They are converted as ever, and the log says that the flag was not for them."""
    with capture_logs() as events:
        options = given(here, format_=Format.META_GRAPH, graph="flag.pb", rules="flag.yaml")
    assert (options.graph, options.rules) == ("", "")
    assert [(event["event"], event["artifact"]) for event in events] == [("given_graph_not_used", "m")]


@pytest.mark.parametrize("entry", ["graph: entry.pb", "architecture: 'users_entry:f'", "rules: entry.yaml"])
def test_entry_for_a_model_with_a_graph_is_refused(here: Path, entry: str) -> None:
    """Somebody who names a model's graph would be surprised by its own."""
    with pytest.raises(UsageError, match=r"gives a graph to m, which has its own; .*m\.yaml; let `match` fit"):
        given(here, entry, format_=Format.SAVED_MODEL)


@pytest.mark.parametrize("format_", [Format.ARCHIVE, Format.UNREADABLE])
def test_archives_are_passed_over(here: Path, format_: Format) -> None:
    """An entry's glob may fit an archive, and is meant for what it holds."""
    with capture_logs() as events:
        assert given(here, "graph: entry.pb", format_=format_).graph == ""
    assert events == []
