import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from job import cli, ending, running
from job.records import ArtifactReport
from job.settings import Settings, kind_of, knobs
from job.summary import RunSummary
from tests.fakes import put
from tests.jobs import WITHOUT_TENSORFLOW, run_job
from tests.ptys import run_at_terminal
from tests.sources import HTML

CANARY = "canary-7b1e55"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each run that the command line starts in this process; nothing is run."""
    seen: list[Settings] = []

    def run(settings: Settings, _: object) -> RunSummary:
        seen.append(settings)
        return RunSummary(run="r", shard_index=0, shard_count=1, exit_code=0, wall_s=0.0, reports=())

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(ending, "configure", lambda *_, **__: None)
    for name in [name for name in os.environ if name.startswith("JOB_")]:
        monkeypatch.delenv(name)
    return seen


def other_value(name: str) -> Any:
    """Return an allowed value of a knob that is not its default."""
    knob = next(knob for knob in knobs() if knob.name == name)
    kind = kind_of(knob)
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != knob.default)
    if get_origin(kind) is tuple:
        return ("x", "y")
    return {bool: True, int: 7 + int(knob.metadata["minimum"] or 0), float: 0.5, str: "x"}[kind]


def typed(flag: str, value: Any) -> list[str]:
    """Return the arguments that give a knob a value."""
    if isinstance(value, tuple):
        return [part for one in value for part in (flag, one)]
    return [flag] if value is True else [flag, str(value)]


NAMES = [knob.name for knob in knobs()]


@pytest.mark.parametrize("name", NAMES)
def test_every_knob_is_a_flag_and_a_variable(
    settings: list[Settings], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """--stage-timeout-s is JOB_STAGE_TIMEOUT_S: either way gives the same settings, and nothing else changes."""
    value, flag = other_value(name), f"--{name.replace('_', '-')}"
    cli.app.main(["run", *typed(flag, value)], standalone_mode=False)
    monkeypatch.setenv(f"JOB_{name.upper()}", ",".join(value) if isinstance(value, tuple) else str(value))
    cli.app.main(["run"], standalone_mode=False)
    assert settings[0] == settings[1]
    assert asdict(settings[0]) == asdict(Settings()) | {name: value}


@pytest.mark.parametrize("name", NAMES)
def test_empty_variable_is_an_unset_one(settings: list[Settings], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Manifests of batch engines set variables to nothing where a value is optional."""
    monkeypatch.setenv(f"JOB_{name.upper()}", "")
    cli.app.main(["run"], standalone_mode=False)
    assert settings == [Settings()]


def test_flag_comes_before_variable(settings: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed for this one run holds."""
    monkeypatch.setenv("JOB_SEED", "1")
    cli.app.main(["run", "--seed", "2"], standalone_mode=False)
    assert settings[0].seed == 2


@pytest.mark.parametrize(
    ("arguments", "extra", "said"),
    [
        (["run", "--sorce", "x"], {}, "No such option '--sorce'. (Did you mean one of: '--"),
        (["rum"], {}, "No such command 'rum'"),
        (["run", "--device", "tpu"], {}, "'tpu' is not one of 'auto', 'cpu', 'gpu'"),
        (["run", "--stage-timeout-s", "0"], {}, "'--stage-timeout-s': 0 is not in the range x>=1"),
        (["run", "--grace-s", "nan"], {}, "'--grace-s': 'nan' is not a number"),
        (["run", "--seed"], {}, "Option '--seed' requires an argument"),
        (["run", "extra"], {}, "unexpected extra argument (extra)"),
        (["inspect"], {}, "Missing argument 'URI'"),
        (["run"], {}, "--source is not set; pass --source URI or set JOB_SOURCE"),
        (["run"], {"JOB_SEED": "x"}, "'x' is not a valid integer range; correct JOB_SEED"),
        (["run"], {"JOB_BENCHMARK": "on"}, "correct JOB_BENCHMARK"),
        (["run", "--target-tf", "2.3"], {}, "'2.3' is not one of 'running', '2.4', '2.5',"),
        (
            ["run"],
            {"JOB_SOURCE": "ftp://h/x", "JOB_DEST": "/x"},
            "ftp:// is no store that we know; ftp://h/x; copy it into a directory",
        ),
        (
            ["run"],
            {"JOB_SOURCE": "/a", "JOB_DEST": "/b", "JOB_COMPLETION_INDEX": "1", "BATCH_TASK_INDEX": "2"},
            "disagree: JOB_COMPLETION_INDEX=1, BATCH_TASK_INDEX=2",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], extra: dict[str, str], said: str) -> None:
    """It says what is wrong and where to look; away from a terminal it is an event, as everything is."""
    ended = run_job(*arguments, extra=extra)
    assert (ended.code, ended.stdout, len(ended.events)) == (2, "", 1)
    assert said in ended.events[0]["reason"]
    assert (ended.events[0]["event"], ended.events[0]["name"]) == ("job_failed", "usage")


def test_error_for_people_is_a_plain_line(tmp_path: Path) -> None:
    """With --log-format text the name of the code comes first, then what, where and what to do."""
    ended = run_job("run", "--source", str(tmp_path / "no"), "--dest", str(tmp_path / "out"), "--log-format", "text")
    where = tmp_path / "no"
    line = f"no_input: there is nothing at the source; {where}; name a prefix or an artifact that exists\n"
    assert (ended.code, ended.stdout, ended.stderr) == (43, "", line)


def test_no_arguments_name_the_usual_commands() -> None:
    """Whoever types only the name wants to know what to type next; it is no success for a script."""
    ended = run_job()
    named = [line.split()[3] for line in ended.stderr.splitlines() if line.startswith("  python -m job ")]
    assert (ended.code, ended.stdout, named) == (2, "", ["inspect", "run", "verify"])


def test_help_is_in_the_words_of_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed command calls itself so."""
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/tf1lift", "run"])
    assert cli._program() == "tf1lift"
    monkeypatch.setattr("sys.argv", ["/somewhere/job/__main__.py", "run"])
    assert cli._program() == "python -m job"


def test_version_is_told() -> None:
    """The version is what a bug report needs first."""
    ended = run_job("--version")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.startswith("tf1lift, version ")


def batch(tmp_path: Path) -> tuple[str, ...]:
    """Make a source with a good and a bad artifact, and return the arguments of a run over it."""
    put(tmp_path / "in", "good.pb")
    put(tmp_path / "in", "bad.pb", data=HTML)
    return ("run", "--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--benchmark", "off")


def test_text_mode_prints_a_summary_on_stdout(tmp_path: Path) -> None:
    """A person gets a table of what became of each artifact, and why some failed."""
    ended = run_job(*batch(tmp_path), "--log-format", "text", program=WITHOUT_TENSORFLOW)
    rows = [line.split()[:2] for line in ended.stdout.splitlines() if line.strip()]
    assert ended.code == 40
    assert rows[:3] == [["artifact", "status"], ["bad.pb", "not"], ["good.pb", "published"]]
    assert "bad.pb: bad.pb is an HTML page" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("1 published, 1 failed, exit code 40. All reports: ")


def test_quiet_is_what_failed_and_the_last_line(tmp_path: Path) -> None:
    """Of what went well nothing is said, and on stderr there are errors alone."""
    ended = run_job(*batch(tmp_path), "-q", "--log-format", "text", program=WITHOUT_TENSORFLOW)
    told = [line.partition(" is an")[0].partition(". All")[0] for line in ended.stdout.splitlines() if line]
    assert (ended.code, told) == (40, ["bad.pb: bad.pb", "1 published, 1 failed, exit code 40"])
    assert [line.split()[1:4] for line in ended.stderr.splitlines()] == [["[error", "]", "artifact_failed"]]


def test_quiet_machines_get_errors_alone(tmp_path: Path) -> None:
    """As events, and nothing on stdout."""
    ended = run_job(*batch(tmp_path), extra={"JOB_QUIET": "1"}, program=WITHOUT_TENSORFLOW)
    assert (ended.code, ended.stdout) == (40, "")
    assert [event["event"] for event in ended.events] == ["artifact_failed"]


def test_a_quiet_run_keeps_its_whole_log(tmp_path: Path) -> None:
    """What is not told is written down all the same, beside the model."""
    run_job(*batch(tmp_path), "--quiet", program=WITHOUT_TENSORFLOW)
    (log,) = (tmp_path / "out" / "good.pb").glob("*/*/log.jsonl")
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert {"artifact_started", "stage_ended"} <= set(events)


CONTROLS = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.mark.parametrize("arguments", [("run",), ("run", "--log-format", "text"), ("run", "-q"), ("inspect",)])
def test_no_control_character_gets_into_a_pipe(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Line feeds are all that steers anything, whatever TERM and colours a user's shell asks for."""
    known = batch(tmp_path)
    rest = known[1:] if arguments[0] == "run" else (str(tmp_path / "in"),)
    extra = {"TERM": "xterm-256color", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "COLUMNS": "40"}
    ended = run_job(*arguments, *rest, extra=extra, program=WITHOUT_TENSORFLOW)
    assert ended.code == 40
    assert CONTROLS.findall((ended.stdout + ended.stderr).encode()) == []
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".jsonl", ".html")]
    assert [path for path in files if CONTROLS.search(path.read_bytes())] == []


@pytest.mark.parametrize("columns", [60, 200])
def test_a_terminal_gets_a_display_and_a_summary(tmp_path: Path, columns: int) -> None:
    """What is at work comes and goes, what has ended stays, and the end says why something failed and what to do."""
    slow = {"TF_TEST_PROBE": "slow"}  # what takes no time is not drawn
    seen = run_at_terminal(*batch(tmp_path), columns=columns, extra=slow, program=WITHOUT_TENSORFLOW)
    lines = seen.screen()
    assert seen.code == 40
    assert "starts TensorFlow" in seen.text
    ended = [line[:8] for line in lines if line[0] in "✓✗" and " s " in line]
    assert sorted(ended) == ["✓ good.p", "✗ bad.pb"]
    assert any(re.match("artifact +status", line) for line in lines)
    assert "✗ bad.pb  bad_input" in lines
    assert "→ download the file itself" in seen.text.replace("\x1b[0m", "")
    assert "1 published, 1 failed, exit code 40. All reports: " in " ".join(lines[-3:])


def test_a_quiet_terminal_gets_no_display(tmp_path: Path) -> None:
    """What failed, and the last line."""
    seen = run_at_terminal(*batch(tmp_path), "-q", program=WITHOUT_TENSORFLOW)
    assert seen.screen()[0] == "✗ bad.pb  bad_input"
    assert "artifact" not in seen.text
    assert "\x1b[?25l" not in seen.text


def test_json_lines_are_not_torn_at_a_terminal(tmp_path: Path) -> None:
    """Whoever asks for events gets events, and no display between them."""
    seen = run_at_terminal(*batch(tmp_path), "--log-format", "json", program=WITHOUT_TENSORFLOW)
    assert [json.loads(line)["event"] for line in seen.text.splitlines()][-1] == "run_ended"


def test_an_interrupt_leaves_the_terminal_clean(tmp_path: Path) -> None:
    """The cursor is shown, the picture is gone, and the last line says how it ended."""
    put(tmp_path / "in", "hang.pb")
    arguments = ("run", "--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"))
    seen = run_at_terminal(*arguments, program=WITHOUT_TENSORFLOW, interrupt_at="convert")
    assert seen.code == 75
    assert seen.text.count("\x1b[?25l") <= seen.text.count("\x1b[?25h")
    assert not any("at work" in line for line in seen.screen())
    assert "exit code 75" in " ".join(seen.screen()[-2:])


@pytest.mark.parametrize("arguments", [(), ("--log-format", "json")])
def test_machines_get_json_lines_on_stderr_and_nothing_else(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Every line parses, carries time, level and event, and standard output stays empty."""
    ended = run_job(*batch(tmp_path), *arguments, program=WITHOUT_TENSORFLOW)
    assert (ended.code, ended.stdout) == (40, "")
    assert all(event.keys() >= {"timestamp", "level", "event"} for event in ended.events)
    assert [event["artifact"] for event in ended.named("artifact_published")] == ["good.pb"]
    assert ended.events[-1]["event"] == "run_ended"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_stay_out_of_every_output(tmp_path: Path, log_format: str) -> None:
    """A secret that comes back in an error text is blotted out on the way to either stream."""
    extra = {"AWS_SECRET_ACCESS_KEY": CANARY, "AWS_ACCESS_KEY_ID": "AKIA" + "A" * 16, "HF_TOKEN": CANARY + "2"}
    source = f"s3x://user:{CANARY}@host/x?X-Amz-Signature={CANARY}"
    ended = run_job("run", "--source", source, "--dest", str(tmp_path), "--log-format", log_format, extra=extra)
    assert ended.code == 2
    assert "s3x://" in ended.stderr
    assert CANARY not in ended.stderr + ended.stdout


def test_bug_is_told_in_one_event_with_code_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's own code for an exception is 1, which the contract does not have."""

    def run(*_: object) -> RunSummary:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(ending, "configure", lambda *_, **__: None)
    monkeypatch.setattr(ending.log, "exception", lambda _: None)
    assert cli.app.main(["run", "--log-format", "text"], standalone_mode=False) == 70
    assert capsys.readouterr().err == "internal: ZeroDivisionError: division by zero; please report it with the log\n"


def test_exit_code_is_the_summarys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run ended with is what the process ends with."""
    reports: tuple[ArtifactReport, ...] = ()
    summary = RunSummary(run="r", shard_index=0, shard_count=1, exit_code=47, wall_s=0.0, reports=reports)
    monkeypatch.setattr(running, "run", lambda *_: summary)
    monkeypatch.setattr(ending, "configure", lambda *_, **__: None)
    monkeypatch.setattr("sys.argv", ["job", "run"])
    monkeypatch.setattr(cli, "leave", sys.exit)  # which leaves pytest alive
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 47


def test_inspect_prints_one_json_document(tmp_path: Path) -> None:
    """``inspect --json`` can be piped: standard output is one document whatever the artifacts are."""
    batch(tmp_path)
    ended = run_job("inspect", str(tmp_path / "in"), "--json", program=WITHOUT_TENSORFLOW)
    document = json.loads(ended.stdout)
    assert (ended.code, ended.stderr) == (40, "")
    assert [one["artifact"]["name"] for one in document["artifacts"]] == ["bad.pb", "good.pb"]


def test_survey_prints_its_table_alone(tmp_path: Path) -> None:
    """``survey`` can be redirected into a file: logs stay on standard error, and its code is the run's."""
    batch(tmp_path)
    places = ("--source", str(tmp_path / "in"), "--dest", str(tmp_path / "out"), "--benchmark", "off")
    ended = run_job("survey", *places, program=WITHOUT_TENSORFLOW)
    assert (ended.code, ended.stdout.splitlines()[0]) == (40, "# Survey")
    assert "| good.pb | GraphDef |" in ended.stdout
