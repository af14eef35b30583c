"""``slacktide what-if``, ``pareto`` and ``explain --plans`` from the command line, small and in this process."""

import json
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.audit import audit
from slacktide.planner.plan_files import read_plan
from slacktide.planner.policy import PRESETS
from slacktide.planner.policy_files import write_policy
from slacktide.planner.reach import Effort
from slacktide.planner.solve import make_plan, order_in, plan_problem
from slacktide.planner.stopping import Iterations
from slacktide.service import what_if_run
from slacktide.service.cli import main
from slacktide.service.what_if_run import Question
from tests.small_fleet import POLICY, small_fleet

BASE = POLICY.model_copy(update={"deadline_s": None, "max_out": {"fleet": 1, "rack": 1}})


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder with the small fleet and a policy."""
    write_snapshot(small_fleet(), tmp_path / "fleet")
    write_policy(BASE, tmp_path / "policy.yaml")
    return tmp_path


def call(work: Path, command: str, *options: str, output: str = "out") -> int:
    return main(
        [command, str(work / "fleet"), "--policy", str(work / "policy.yaml"), "-o", str(work / output), *options]
    )


def refused(capsys, *arguments: str) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_what_if_writes_table_and_plans(capsys, work: Path) -> None:
    assert call(work, "what-if", "--iterations", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((work / "out" / "what-if.json").read_text())
    assert found["whole"]
    assert found["not_planned"] == []
    table = pl.read_parquet(work / "out" / "what-if.parquet")
    assert table["limit"].to_list() == [one["limit"] for one in found["purchases"]]
    assert table["gain_s"].to_list() == [one["gain_s"] for one in found["purchases"]]
    ids = {found["present"]["plan_id"], *(one["plan"]["plan_id"] for one in found["purchases"])}
    assert {folder.name for folder in (work / "out" / "plans").iterdir()} == ids
    fleet = read_snapshot(work / "fleet")
    for one in found["purchases"]:
        plan = read_plan(work / "out" / "plans" / one["plan"]["plan_id"])
        assert plan.header.summary.makespan_s == one["plan"]["makespan_s"]
        if not one["of_fleet"]:
            assert audit(fleet, plan).errors == ()


def test_the_present_plan_is_the_one_that_plan_finds_and_others_begin_with_its_order(tmp_path: Path) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=40, seed=3))
    plan = make_plan(fleet, PRESETS["urgent"])
    case = what_if_run.case_of(fleet, PRESETS["urgent"])
    among = what_if_run.chosen_levers(case, ("notice of every VM", "max_out.power"))
    found = what_if_run.ask(case, Question(None, (), None, None, 0, 1), among, Effort(), lambda *_: None)
    assert found.present.plan_id == plan.header.id
    assert {one.limit for one in found.purchases} == {"notice of every VM", "max_out.power"}
    order = order_in(case.problem, plan)
    again = plan_problem(fleet, case.problem, stop=Iterations(0), known=plan)
    alone = plan_problem(fleet, case.problem, stop=Iterations(0))
    assert sorted(order.tolist()) == np.flatnonzero(case.problem.hosts.due).tolist()
    assert again.header.summary.makespan_s < alone.header.summary.makespan_s


def test_a_limit_that_does_not_bind_buys_nothing_however_few_the_tries(tmp_path: Path) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=120, seed=3))
    case = what_if_run.case_of(fleet, PRESETS["urgent"])
    among = what_if_run.chosen_levers(case, ("migration.allow_patched_to_unpatched", "max_out.power"))
    for tries in (1, 3):
        found = what_if_run.ask(case, Question(None, (), None, tries, 0, 1), among, Effort(tries), lambda *_: None)
        assert [(one.gain_s, one.exposure_gain_host_h) for one in found.purchases] == [(0, 0), (0, 0)]


def test_where_the_time_ended_the_search_for_the_present_plan_that_is_said(capsys, work: Path) -> None:
    assert call(work, "what-if", "--time-limit", "0") == 0
    assert "the time ended the search for this plan" in capsys.readouterr().out
    assert json.loads((work / "out" / "what-if.json").read_text())["present_ended_early"]


def test_few_tries_for_the_present_plan_are_said(capsys, tmp_path: Path) -> None:
    write_snapshot(generate_fleet(GeneratorSettings(hosts=40, seed=3)), tmp_path / "fleet")
    fleet, output = str(tmp_path / "fleet"), str(tmp_path / "out")
    asked = ("what-if", fleet, "--preset", "urgent", "-o", output, "--relax", "max_out.power")
    assert main([*asked, "--iterations", "1"]) == 0
    warning = "the number of tries ended the search for this plan: part of what limits seem to buy is the search's"
    assert warning in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "what-if.json").read_text())
    assert (found["present_ended_early"], found["present_ended_by"], found["whole"]) == (True, "tries", True)
    assert main(asked) == 0
    assert "ended the search for this plan" not in capsys.readouterr().out


def test_the_question_after_a_deadline_leaves_time_for_what_limits_buy(monkeypatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(what_if_run.time, "monotonic", lambda: now_s)
    question = Question(1500, (), 40.0, None, 0, 1)
    over = what_if_run.share_of_the_rest(question, origin_s=90.0, share=0.6, over=lambda: False)
    now_s = 117.9
    assert not over()
    now_s = 118.1
    assert over()


def test_what_if_says_it_to_people(capsys, work: Path) -> None:
    assert call(work, "what-if", "--iterations", "1", "--by", "25min") == 0
    text = capsys.readouterr().out
    assert text.startswith("Policy small: 3 hosts in ")
    assert "Everything by 25 min: proven impossible under the present limits, the bound is " in text
    assert "What suffices alone:" in text
    assert "limit " in text
    assert "what the bound promises" in text
    assert "max_out.fleet" in text


def test_deadline_is_by_in_seconds_and_the_policys_own_the_default(capsys, work: Path) -> None:
    assert call(work, "what-if", "--iterations", "1", "--relax", "max_out.fleet", "--deadline", "1500", "--json") == 0
    asked = json.loads(capsys.readouterr().out)
    assert call(work, "what-if", "--iterations", "1", "--relax", "max_out.fleet", "--by", "25min", "--json") == 0
    assert json.loads(capsys.readouterr().out)["deadline"] == asked["deadline"]
    write_policy(BASE.model_copy(update={"deadline_s": 1500}), work / "policy.yaml")
    assert call(work, "what-if", "--iterations", "1", "--relax", "max_out.fleet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["deadline"]["by_s"] == 1500
    assert [one["limit"] for one in asked["purchases"]] == ["max_out.fleet"]


def test_hosts_left_alone_have_their_conflict(capsys, work: Path) -> None:
    write_policy(BASE.model_copy(update={"max_out": {"fleet": 3, "rack": 0}}), work / "policy.yaml")
    assert call(work, "what-if", "--iterations", "1") == 1
    text = capsys.readouterr().out
    assert "Why hosts are left alone: This limit alone is in conflict: max_out.rack 0 (proven)" in text
    (row,) = (line for line in text.splitlines() if "3 hosts more patched" in line)
    assert "host-h per host" not in row


def test_hosts_that_no_limit_keeps_are_not_passed_over(capsys, work: Path) -> None:
    assert call(work, "what-if", "--iterations", "1", "--by", "2h", "--relax", "max_out.fleet") == 0
    assert "the present limits suffice, " in (text := capsys.readouterr().out)
    assert "; 2 hosts left alone, whatever limit gives" in text
    pinned = {name: {"eviction": "pinned"} for name in ("v1", "v2", "v3", "v4", "v5", "v6")}
    write_snapshot(small_fleet(vms=pinned), work / "fleet")
    assert call(work, "what-if", "--iterations", "1", "--by", "2h", "--relax", "max_out.fleet") == 1
    assert "no host can be patched, whatever limit gives" in capsys.readouterr().out


def test_what_the_policy_cannot_give_is_said(capsys, work: Path) -> None:
    options = ("--relax", "patch time of every host", "--relax", "link_share")
    assert call(work, "what-if", "--iterations", "1", "--by", "20min", *options) == 0
    text = capsys.readouterr().out
    assert "What suffices alone:\n  patch time of every host" in text
    assert "No plan was found that gives up only limits of the policy that were named" in text


def test_of_limits_that_were_not_named_nothing_is_said(capsys, work: Path) -> None:
    asked = ("what-if", "--iterations", "1", "--by", "25min")
    assert call(work, *asked, "--relax", "max_out.rack", "--json") == 0
    answer = json.loads(capsys.readouterr().out)["deadline"]
    assert (answer["among_all"], answer["conflict"]["among_all"]) == (False, False)
    assert call(work, *asked, "--relax", "max_out.rack") == 0
    text = capsys.readouterr().out
    assert "but the fleet itself" not in text
    assert (
        "Not the limits that were named stand in the way, but others, which were not looked at, or the fleet: as loose "
        "as the named ones get, it is proven that there is no plan"
    ) in text
    assert call(work, *asked, "--relax", "max_out.rack", "--relax", "patch time of every host") == 0
    text = capsys.readouterr().out
    assert "This limit alone is in conflict: patch time of every host" in text
    assert "however loose the others named are, and all that were not named as they are" in text
    assert call(work, *asked, "--json") == 0
    assert json.loads(capsys.readouterr().out)["deadline"]["among_all"]


def test_a_front_of_nothing_says_so(capsys, work: Path) -> None:
    write_policy(BASE.model_copy(update={"max_out": {"fleet": 3, "rack": 0}}), work / "policy.yaml")
    assert call(work, "pareto", "--points", "2", "--iterations", "1") == 1
    assert "no plan patches a host" in capsys.readouterr().out


def test_without_time_only_the_present_plan_is_there(capsys, work: Path) -> None:
    assert call(work, "what-if", "--time-limit", "0", "--by", "25min", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["purchases"] == []
    assert not found["whole"]
    assert "max_out.fleet" in found["not_planned"]
    assert found["deadline"]["verdict"] == "impossible"
    assert {one["limit"] for one in found["promised"]} == set(found["not_planned"])
    assert call(work, "what-if", "--time-limit", "0", "--by", "25min") == 0
    text = capsys.readouterr().out
    assert "not planned, the time was over; what the quick bounds promise, without a plan:\n" in text
    (row,) = (line for line in text.splitlines() if line.startswith("max_out.fleet "))
    assert " 1 -> 2 " in row
    assert "-10 min 18 s" in row
    assert "The time ended before every question was answered" in text


def test_ctrl_c_keeps_the_partial_table(capsys, work: Path, monkeypatch) -> None:
    ask = what_if_run.purchases

    def interrupted(*arguments):
        for number, one in enumerate(ask(*arguments)):
            yield one
            if number == 1:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(what_if_run, "purchases", interrupted)
    assert call(work, "what-if", "--iterations", "1", "--json") == 130
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert len(found["purchases"]) == 2
    assert not found["whole"]
    assert found["not_planned"]
    assert "interrupted: this is what was known until then" in captured.err
    assert json.loads((work / "out" / "what-if.json").read_text()) == found
    assert found["interrupted"]
    assert {one["limit"] for one in found["promised"]} == set(found["not_planned"])
    assert call(work, "what-if", "--iterations", "1") == 130
    text = capsys.readouterr().out
    assert "not planned, the work was interrupted; what the quick bounds promise, without a plan:\n" in text
    assert "the time" not in text


def test_an_interrupt_is_not_called_the_end_of_the_time(capsys, work: Path, monkeypatch) -> None:
    def interrupted(*_arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(what_if_run.DeadlineSearch, "run", interrupted)
    assert call(work, "what-if", "--iterations", "1", "--by", "25min") == 130
    text = capsys.readouterr().out
    assert "The interrupt came before every question was answered" in text
    assert "the time" not in text


def test_ctrl_c_before_the_first_plan_writes_nothing(capsys, work: Path, monkeypatch) -> None:
    def interrupted(*_arguments, **_options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(what_if_run, "planned_to_the_end", interrupted)
    assert call(work, "what-if") == 130
    assert "nothing is written" in capsys.readouterr().err
    assert sorted(entry.name for entry in work.iterdir()) == ["fleet", "policy.yaml"]


def test_an_older_what_if_is_replaced_and_nothing_else(capsys, work: Path) -> None:
    assert call(work, "what-if", "--time-limit", "0") == 0
    (before,) = (work / "out" / "plans").iterdir()
    write_policy(BASE.model_copy(update={"link_share": 0.9}), work / "policy.yaml")
    assert call(work, "what-if", "--time-limit", "0") == 0
    (after,) = (work / "out" / "plans").iterdir()
    assert before.name != after.name
    capsys.readouterr()
    (work / "mine").mkdir()
    (work / "mine" / "plans").mkdir()
    assert call(work, "what-if", output="mine") == 2
    assert "is not empty: it holds plans" in capsys.readouterr().err
    assert call(work, "pareto", output="out") == 2
    assert "is not empty: it holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--by", "soon"), '"soon" is no duration such as 4h'),
        (("--by", "0h"), "is no time at all"),
        (("--by", "-4h"), "--by requires an argument"),
        (("--by", "4"), '"4" is no duration'),
        (("--deadline", "0"), "--deadline"),
        (("--deadline", "1.5"), "--deadline"),
        (("--by", "4h", "--deadline", "3600"), "--by and --deadline: say the same twice"),
        (("--time-limit", "-1"), "--time-limit"),
        (("--iterations", "0"), "--iterations"),
        (("--relax", "everything"), "'everything' is no limit that can be loosened here. One of: canary.bake_s"),
    ],
)
def test_impossible_options_of_what_if(capsys, work: Path, options, named) -> None:
    policy = ("--policy", str(work / "policy.yaml"))
    assert named in refused(capsys, "what-if", str(work / "fleet"), *policy, "-o", str(work / "out"), *options)
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("4h", 14_400), ("3h30min", 12_600), ("90min", 5_400), ("1d", 86_400), ("45s", 45)]
)
def test_durations_are_read(capsys, work: Path, text: str, seconds: int) -> None:
    assert call(work, "what-if", "--by", text, "--time-limit", "0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["deadline"]["by_s"] == seconds


def test_pareto_writes_table_picture_and_plans(capsys, work: Path) -> None:
    assert call(work, "pareto", "--iterations", "1", "--points", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    folder = work / "out"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "front.csv",
        "front.json",
        "front.parquet",
        "front.png",
        "front.svg",
        "plans",
    ]
    assert found == json.loads((folder / "front.json").read_text())
    ids = [point["plan_id"] for point in found["front"]]
    assert pl.read_parquet(folder / "front.parquet")["plan_id"].to_list() == ids
    assert pl.read_csv(folder / "front.csv")["makespan_s"].to_list() == [one["makespan_s"] for one in found["front"]]
    assert sorted(entry.name for entry in (folder / "plans").iterdir()) == sorted(set(ids))
    for point in found["front"]:
        plan = read_plan(folder / "plans" / point["plan_id"])
        assert plan.header.summary.makespan_s == point["makespan_s"]
        assert audit(read_snapshot(work / "fleet"), plan).errors == ()


def test_pareto_says_it_to_people(capsys, work: Path) -> None:
    assert call(work, "pareto", "--iterations", "1", "--points", "3") == 0
    text = capsys.readouterr().out
    assert " plans are on the front; * the present limit on hosts out" in text
    assert "moves per VM" in text
    assert "gap" in text


def test_pareto_without_a_plan_is_exit_code_1(capsys, work: Path) -> None:
    write_policy(BASE.model_copy(update={"max_out": {"fleet": 3, "rack": 0}}), work / "policy.yaml")
    assert call(work, "pareto", "--iterations", "1") == 1
    assert "0 of 0 plans" in capsys.readouterr().out


def test_nothing_due_is_exit_code_0(capsys, work: Path) -> None:
    nothing = BASE.model_copy(update={"selection": BASE.selection.model_copy(update={"hosts": ()})})
    write_policy(nothing, work / "policy.yaml")
    assert call(work, "what-if", "--by", "1h", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["deadline"]["verdict"] == "reached"
    assert all(one["gain_s"] == 0 for one in found["purchases"])
    assert call(work, "pareto", output="front") == 0
    assert "0 of 0 plans" in capsys.readouterr().out


def test_pareto_needs_two_points(capsys) -> None:
    assert "--points" in refused(capsys, "pareto", "fleet", "-o", "front", "--points", "1")


def test_explain_makes_the_plans_behind_its_figures(capsys, work: Path) -> None:
    plan = ("plan", str(work / "fleet"), "--policy", str(work / "policy.yaml"), "-o", str(work / "plan"))
    assert main([*plan, "--iterations", "1"]) == 0
    capsys.readouterr()
    explain = ("explain", str(work / "fleet"), str(work / "plan"))
    assert main([*explain, "--plans", str(work / "out"), "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["what_if"] == json.loads((work / "out" / "what-if.json").read_text())
    assert both["what_if"]["present"]["plan_id"] == both["plan_id"]
    planned = {one["limit"]: one for one in both["what_if"]["purchases"]}
    for relaxation in both["relaxations"]:
        assert planned[relaxation["limit"]]["after"] == relaxation["after"]
    assert main([*explain, "--plans", str(work / "out")]) == 0
    assert "what the bound promises" in capsys.readouterr().out
    assert main([*explain, "--plans", str(work / "fleet")]) == 2
