"""All benchmarks on tiny fleets: the tables' shape, and that ours is never worse than what operators do by hand."""

import shutil
import sys

import pytest

from benchmarks.against import against
from benchmarks.families import SHARED_STORAGE
from benchmarks.growth import exponent
from benchmarks.hroller import CAPACITY_ALONE, text_data, work_of_groups
from benchmarks.rows import Row
from benchmarks.run import SECTIONS, main
from benchmarks.tables import COLUMNS, rewrite, row_table
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.problem_building import build_problem
from slacktide.planner.streams.replayed import replay
from slacktide.planner.streams.rules import ONE_PER_NIC

pytestmark = [pytest.mark.integration, pytest.mark.computing]

FAMILIES = ("fill 60 %", "large VMs", "one host a rack")


def test_quick_prints_every_section(capsys):
    assert main(["--quick", "--families", FAMILIES[0], "--proxlb", f"{sys.executable}-of-nowhere"]) == 0
    text = capsys.readouterr().out
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(SECTIONS)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert f"| {' | '.join(COLUMNS)} |" in tables
    for whole in text.split("\n\n"):
        widths = {line.count(" | ") for line in whole.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert "not installed" in text
    assert "Seconds grow as hosts^" in text


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("preset", ["urgent", "routine"])
def test_no_rolling_drain_is_sooner_done(family, preset):
    ours, *others = against(family, preset, 40, 1, 4, None)
    assert ours.remark == ""
    assert [row.who for row in others[:2]] == ["even spread, back", "even spread, not back"]
    assert others[0].moves_per_vm == 2.0
    for row in others[:2]:
        assert ours.makespan_s <= row.makespan_s
    assert ours.blackout_s <= others[0].blackout_s
    assert ours.over_limit == 0
    assert all(ours.blackout_s <= row.blackout_s * 1.001 for row in others[2:])


@pytest.fixture
def shared_storage():
    return generate_fleet(GeneratorSettings.model_validate({"hosts": 20, **SHARED_STORAGE}))


def test_groups_are_carried_out_with_all_moves_back(shared_storage):
    problem = build_problem(shared_storage, CAPACITY_ALONE)
    hosts, vms = problem.hosts.ids, problem.vms
    first, second = sorted(set(vms.host.tolist()))[:2]
    lines = []
    for host, target in ((first, second), (second, first)):
        lines.append(f" {hosts[host]}")
        lines += [f"  {vms.ids[vm]} {hosts[target]}" for vm in range(len(vms.ids)) if vms.host[vm] == host]
    work = work_of_groups(problem, "\n".join(lines))
    assert work.order.tolist() == [first, second]
    assert work.behind.tolist() == [-1, 0]
    done = replay(problem, work, ONE_PER_NIC)
    assert done.drain_start_s[1] >= done.end_s[(done.target == first) & work.back].max()
    assert (vms.host[done.vm[work.back]] == done.target[work.back]).all()


@pytest.mark.skipif(shutil.which("hroller") is None, reason="hroller is not installed")
def test_hroller_reads_what_is_written_for_it(shared_storage):
    from benchmarks.hroller import ask_hroller

    problem = build_problem(shared_storage, CAPACITY_ALONE)
    answer = ask_hroller(shared_storage, 60)
    assert answer is not None
    work = work_of_groups(problem, answer.text)
    assert sorted(work.order.tolist()) == list(range(20))
    assert len(work.vm) == 2 * len(problem.vms.ids)


def test_text_data_has_five_sections(shared_storage):
    sections = text_data(shared_storage).split("\n\n")
    assert len(sections) == 5
    assert len(sections[1].splitlines()) == 20
    assert len(sections[2].splitlines()) == len(shared_storage.vms)


def test_exponents_fit_powers():
    assert exponent([10, 100, 1000], [3.0, 30.0, 300.0]) == pytest.approx(1.0)
    assert exponent([1, 2, 4], [5.0, 20.0, 80.0]) == pytest.approx(2.0)


def test_tables_go_between_their_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- against -->\nold\n<!-- /against -->\nafter\n")
    table = row_table([Row("f", "p", "Slacktide", 3, makespan_s=100.0), Row("f", "p", "other", 3, makespan_s=150.0)])
    rewrite(page, {"against": table})
    rewrite(page, {"against": table})
    text = page.read_text()
    assert text.startswith("before\n<!-- against -->\n\n| family")
    assert "| 150 | 1.50 |" in text
    assert text.endswith("\n<!-- /against -->\nafter\n")
    assert "old" not in text
    with pytest.raises(SystemExit, match="markers"):
        rewrite(page, {"hroller": table})
