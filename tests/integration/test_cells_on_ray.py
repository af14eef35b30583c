"""Cells planned as tasks of Ray give the plan that one process gives."""

import os

import pytest
import ray

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.errors import ExecutionError, InputError
from slacktide.executors.ray_cells import RayCells
from slacktide.planner.cell_plans import CellTask
from slacktide.planner.policy import PRESETS
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations, Progress

pytestmark = [
    pytest.mark.integration,
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves sockets and log files to the interpreter
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLEET = generate_fleet(GeneratorSettings(hosts=200, seed=5, hosts_per_rack=8))


@pytest.mark.usefixtures("ray_ends")
def test_ray_gives_the_plan_that_one_process_gives() -> None:
    told: list[Progress] = []
    with RayCells(2) as cell_map:
        on_ray = make_plan(
            FLEET, PRESETS["urgent"], stop=Iterations(2), cells=4, cell_map=cell_map, progress=told.append
        )
        assert ray.is_initialized()
    assert not ray.is_initialized(), "Ray was started for the cells and is still there"
    here = make_plan(FLEET, PRESETS["urgent"], stop=Iterations(2), cells=4)
    assert on_ray.header.id == here.header.id
    assert on_ray.header.summary.audit.findings == ()
    assert "3 of 4 cells planned" in [progress.phase for progress in told]


def test_a_fleet_in_one_piece_does_not_start_ray() -> None:
    with RayCells(2) as cell_map:
        make_plan(FLEET, PRESETS["urgent"], stop=Iterations(0), cell_map=cell_map)
        assert not ray.is_initialized()


@pytest.mark.usefixtures("ray_ends")
def test_the_planners_errors_come_through_and_rays_have_a_remedy() -> None:
    def refused(_problem: object, task: CellTask) -> None:
        raise InputError("policy", f"does not suit {task.name}", "Change it")

    def lost(_problem: object, _task: CellTask) -> None:
        os._exit(1)

    task = CellTask(2, 20, None, 0, None, None)
    with RayCells(2) as cell_map:
        with pytest.raises(InputError, match="does not suit plan cell 3 of 20"):
            list(cell_map(refused, ["problem"], [task]))
        with pytest.raises(ExecutionError, match="plan cell 3 of 20"):
            list(cell_map(lost, ["problem"], [task]))


@pytest.mark.usefixtures("ray_ends")
def test_an_interrupt_of_the_search_keeps_the_joined_plan() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.iteration > 0 and progress.phase == "improving":
            raise KeyboardInterrupt

    with RayCells(2) as cell_map:
        plan = make_plan(FLEET, PRESETS["routine"], stop=Iterations(99), cells=4, cell_map=cell_map, progress=interrupt)
    assert plan.header.summary.audit.findings == ()
    assert plan.header.summary.hosts > 0
