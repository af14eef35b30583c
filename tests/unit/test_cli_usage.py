"""What the command line accepts and refuses, before any work is done."""

import json

import pytest

from slacktide import __version__
from slacktide.planner.policy import PRESETS
from slacktide.planner.policy_files import read_policy
from slacktide.service.cli import main


def refused(capsys, *arguments: str) -> str:
    """Return what standard error says of a call that is wrong."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_lists_the_commands_in_the_order_of_work(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    commands = (
        "fleet",
        "policy",
        "plan",
        "audit",
        "explain",
        "compare",
        "what-if",
        "pareto",
        "preflight",
        "run",
        "report",
        "revise",
        "calibrate",
    )
    places = [text.index(f"│ {name} ") for name in commands]
    assert places == sorted(places)
    assert "Exit codes: 0 done;" in text


@pytest.mark.parametrize(
    "command",
    [
        ["fleet", "generate"],
        ["fleet", "import", "huawei-alibaba"],
        ["fleet", "check"],
        ["fleet", "show"],
        ["policy", "show"],
        ["policy", "check"],
        ["plan"],
        ["audit"],
        ["explain"],
        ["compare"],
        ["what-if"],
        ["pareto"],
        ["preflight"],
        ["revise"],
        ["calibrate"],
        ["run"],
        ["report"],
    ],
)
def test_every_command_has_help(capsys, command):
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"slacktide {' '.join(command)}" in text
    assert "--json" in text


def test_unknown_option_names_the_nearest(capsys):
    error = refused(capsys, "plan", "fleet", "-o", "plan", "--time-limt", "3")
    assert error.startswith("error: ")
    assert "Did you mean --time-limit?" in error
    assert "See `slacktide plan --help`" in error


@pytest.mark.parametrize("words", [("--server", "http://h"), ("--server=http://h",), ("--token-file", "t")])
def test_an_option_of_servers_before_the_command_is_told_where_it_belongs(capsys, words):
    error = refused(capsys, *words, "plan", "fleet")
    assert f"{words[0].partition('=')[0]} comes after the command, not before it." in error
    assert "Did you mean" not in error


def test_a_default_is_said_once(capsys):
    assert main(["urgent", "--help"]) == 0
    assert "[default: ()]" not in capsys.readouterr().out


def test_unknown_command(capsys):
    assert '"plann"' in refused(capsys, "plann")


def test_missing_output(capsys):
    assert "--output" in refused(capsys, "fleet", "generate", "--hosts", "5")


def test_superfluous_argument(capsys):
    assert "Unexpected: third" in refused(capsys, "fleet", "check", "first", "third")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--time-limit", "-1"), "--time-limit"),
        (("--iterations", "-1"), "--iterations"),
        (("--iterations", "2.5"), "--iterations"),
        (("--workers", "0"), "--workers"),
        (("--seed", "-1"), "--seed"),
        (("--preset", "casual"), '"urgent", "routine"'),
    ],
)
def test_impossible_options_of_plan(capsys, options, named):
    assert named in refused(capsys, "plan", "fleet", "-o", "plan", *options)


@pytest.mark.parametrize("option", ["--failures", "--lost-hosts", "--overruns", "--answering"])
def test_more_than_all_cannot_fail(capsys, option):
    assert option in refused(capsys, "run", "fleet", "plan", option, "1001")


def test_preset_and_policy_contradict(capsys, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("link_share: 0.5\n")
    arguments = ("plan", "fleet", "-o", str(tmp_path / "plan"), "--preset", "urgent", "--policy", str(path))
    assert "--preset and --policy: contradict each other. Give one of them" in refused(capsys, *arguments)


def test_with_json_an_error_of_usage_is_a_document(capsys):
    assert main(["plan", "fleet", "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["kind"], error["subject"], error["exit_code"]) == ("UsageError", "slacktide plan", 2)
    assert "--output" in error["fact"]
    assert "--output" in captured.err


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_is_printed_as_a_policy_file(capsys, tmp_path, preset):
    assert main(["policy", "show", "--preset", preset]) == 0
    path = tmp_path / "policy.yaml"
    path.write_text(capsys.readouterr().out)
    assert read_policy(path) == PRESETS[preset]


def test_a_preset_is_printed_as_json(capsys):
    assert main(["policy", "show", "--preset", "urgent", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == PRESETS["urgent"].model_dump(mode="json")


@pytest.mark.parametrize("cells", ["0", "-3", "many"])
def test_cells_are_a_number_or_a_word(capsys, cells):
    assert "--cells" in refused(capsys, "plan", "fleet", "-o", "plan", f"--cells={cells}")
