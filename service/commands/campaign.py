"""``slacktide run``: a plan carried out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from slacktide.errors import InputError, UsageError
from slacktide.object_store import AnyPath, StoredPath
from slacktide.service.afar.terms import TermsGiven
from slacktide.service.ahead import say_compiling
from slacktide.service.command_line import command_given
from slacktide.service.commands.options import (
    HERE,
    Afar,
    AsJson,
    Count,
    FleetPath,
    PathHereOption,
    PathOption,
    PerMille,
    PlanPath,
    Seed,
    Share,
    duration_s,
)
from slacktide.service.commands.plan import read_both
from slacktide.service.commands.report import carried_out, show_report, write_page
from slacktide.service.console import progress, tell
from slacktide.service.destinations import check_campaign
from slacktide.service.failures import interrupted_code
from slacktide.service.interrupts import held_interrupts, told_to_end
from slacktide.service.libvirt_run import (
    libvirt_settings,
    maintenance_action,
    preflight_or_refuse,
    refuse_real_hosts,
    refuse_simulation,
    refuse_unheard_guests,
)
from slacktide.service.stores import store_given, wait_until_answers
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
    from slacktide.executors.drivers.making import DriverSettings
    from slacktide.executors.drivers.settings import Answering, Failures, Others
    from slacktide.executors.progress import Progress
    from slacktide.executors.report import CampaignReport
    from slacktide.executors.run import RunOptions
    from slacktide.planner.plan import Plan

WaitOption = Annotated[int | None, Parameter(converter=duration_s, accepts_keys=False)]


def run(
    path: FleetPath,
    plan_path: PlanPath,
    /,
    *,
    output: Annotated[PathHereOption, Parameter(name=["--output", "-o"])] = None,
    seed: Seed = 0,
    failures: PerMille = 0.0,
    retryable_share: Share = 1.0,
    lost_hosts: PerMille = 0.0,
    overruns: PerMille = 0.0,
    overrun_factor: Annotated[float, Parameter(validator=Number(gte=1))] = 2.0,
    answering: PerMille = 0.0,
    created_vms: PerMille = 0.0,
    deleted_vms: PerMille = 0.0,
    moved_vms: PerMille = 0.0,
    driver: Literal["simulated", "libvirt"] = "simulated",
    profile: str | None = None,
    connections: PathOption = None,
    patch_command: str | None = None,
    maintenance: Path | None = None,
    shared_path: tuple[str, ...] = (),
    probe_port: Annotated[int | None, Parameter(validator=Number(gte=1, lte=65535))] = None,
    probe_namespace: str | None = None,
    metadata_address: str | None = None,
    metadata_bridge: str | None = None,
    metadata_namespace: str | None = None,
    fabric: Path | None = None,
    approve_as: str | None = None,
    health: Path | None = None,
    ask_for_approval: Annotated[bool, Parameter(negative="")] = False,
    on_drift: Literal["revise", "ask", "ignore"] | None = None,
    speed: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    agents: Count | None = None,
    agent_per_host: Annotated[bool, Parameter(negative="")] = False,
    store: str | None = None,
    take_over: Annotated[bool, Parameter(negative="")] = False,
    wait_for_store: WaitOption = None,
    ray: Annotated[bool, Parameter(negative="--no-ray")] = True,
    detach: Annotated[bool, Parameter(negative="")] = False,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Carry a plan out and write the report: on simulated hosts and a virtual clock, or on real ones.

    A plan of another fleet, or one whose audit finds an error, is refused. A campaign that was stopped goes on when the
    same command is given again; of one that has finished the report is printed, and nothing is carried out. The exit
    code is 1 if a planned host did not return. With --json prints report.json.

    Parameters
    ----------
    output
        Directory of the campaign: journal, tables and report.html. [default: beside the plan, its name and "-campaign"]
    seed
        Decides the simulated durations, blackouts and failures.
    failures
        Simulated attempts to migrate that fail, per mille.
    retryable_share
        Share of them that another attempt may mend.
    lost_hosts
        Hosts that do not come back from their patch, per mille.
    overruns
        Hosts whose patch takes longer than planned, per mille.
    overrun_factor
        How many times as long.
    answering
        Simulated guests that say they are ready some 30 s after they are told of their migration, per mille.
    created_vms
        VMs that others create on the simulated hosts meanwhile, per mille of the fleet's VMs.
    deleted_vms
        VMs that others delete, likewise.
    moved_vms
        VMs that others move to another host, likewise.
    driver
        `simulated` moves nothing; `libvirt` migrates VMs between real hosts and patches these.
    profile
        With a server: its name for the real hosts that the plan is carried out on; what reaches and patches them is
        written there. [default: simulated hosts]
    connections
        Where each host's libvirtd answers. [default: beside the fleet, its name and "-connections.json"]
    patch_command
        Patches and reboots a drained host, which `{host}` in it stands for; a host has returned when the command has
        ended with 0 and its libvirtd answers. Needed with `--driver libvirt`, unless there is `--maintenance`.
    maintenance
        File of the action that patches a host, in place of a command: an HTTP call, a playbook of Ansible, a command
        with tries and checks, or nothing.
    shared_path
        Folder that all hosts see, whose disks are not copied; repeat it for more.
    probe_port
        UDP port at which guests' heartbeats are heard, to see blackouts from outside. [default: none are heard]
    probe_namespace
        Network namespace of this machine in which they are heard.
    metadata_address
        Address of every host, with or without a port, at which its guests ask what is to come for them, such as
        169.254.169.254:80. [default: they are not told]
    metadata_bridge
        Bridge that a host's guests are on; `{host}` in it stands for the host. [default: br0]
    metadata_namespace
        Network namespace of this machine that both are in; `{host}` in it stands for the host.
    fabric
        JSON file of what is told where guests are once they have moved, and forwards their packets until it knows.
        [default: the network finds out by itself]
    approve_as
        Who lets waves begin whose gate asks for approval; without it real hosts wait for `slacktide campaign approve`.
    health
        YAML or JSON file of signals and budgets that pause the campaign; `slacktide campaign signals` tries it.
    ask_for_approval
        Let simulated hosts wait for it as well.
    on_drift
        What is done where something planned can no longer happen, as a host is lost, a migration has failed for good or
        others have put a VM on a host that is to be drained: `revise` plans the rest anew within bounds, `ask` waits
        for `slacktide campaign revise`, `ignore` gives up what depends on it. [default: `revise` on simulated hosts,
        `ask` on real ones]
    speed
        Simulated seconds for each second, to watch a campaign and try what can be asked of it. [default: as fast as it
        goes]
    agents
        Agent processes. [default: one for each real host; one for every 5,000 simulated ones, at most one for each
        processor]
    agent_per_host
        An agent for each simulated host as well, on its node where Ray has that, and a clock that waits for nobody,
        `--speed` times as fast as real ones: a rehearsal of a real cluster.
    store
        URL of the database that keeps a new campaign: `postgresql://user@host/database`, or
        `sqlite:////folder/file.sqlite`. [default: SLACKTIDE_STORE, else journal.sqlite in the directory]
    take_over
        Take the campaign from a coordinator that still holds it; that one can do nothing any more.
    wait_for_store
        How long a store that does not answer at the beginning is waited for, such as 10min. [default: until Ctrl-C]
    ray
        Coordinator and agents as actors of Ray; else all in this process, with the same result. Of a server's
        campaigns it decides itself, unless --no-ray is given.
    detach
        With a server: leave the campaign to it at once, as Ctrl-C does later.
    """
    if afar.named:
        simulated = {
            **{"seed": seed, "failures_per_mille": failures, "retryable_share": retryable_share},
            **{"lost_hosts_per_mille": lost_hosts, "overruns_per_mille": overruns, "overrun_factor": overrun_factor},
            **{"answering_per_mille": answering, "created_vms_per_mille": created_vms},
            **{"deleted_vms_per_mille": deleted_vms, "moved_vms_per_mille": moved_vms},
            **{"speed": speed, "ask_for_approval": ask_for_approval},
        }
        written_there = {
            **{"--connections": connections, "--patch-command": patch_command, "--maintenance": maintenance},
            **{"--shared-path": shared_path, "--probe-port": probe_port, "--probe-namespace": probe_namespace},
            **{"--metadata-address": metadata_address, "--metadata-bridge": metadata_bridge},
            **{"--metadata-namespace": metadata_namespace, "--approve-as": approve_as, "--fabric": fabric},
            **{"--store": store, "--wait-for-store": wait_for_store, "--agent-per-host": agent_per_host},
        }
        terms = TermsGiven(driver, profile, simulated, on_drift, health, agents, written_there, not ray)
        return _run_there(afar, path, plan_path, terms, output, (detach, take_over), as_json=as_json)
    afar.refuse_here({"--profile": profile, "--detach": detach}, "Leave it out, or give --server")
    from slacktide.executors.campaign_file import CAMPAIGN_FILES, holds_campaign, left_behind
    from slacktide.executors.connections_file import connections_beside
    from slacktide.executors.drivers.settings import Answering, Failures
    from slacktide.executors.health.files import read_health
    from slacktide.executors.report import PAGE_FILE
    from slacktide.executors.rules import NOTHING
    from slacktide.executors.run import RunOptions, finished_report, simulation
    from slacktide.service.campaign_text import finished_before, planned_hosts

    directory = output or _beside(plan_path)
    check_campaign(directory, CAMPAIGN_FILES, left_behind(directory))
    where = store_given(store, directory)
    snapshot, plan = _read_fitting(path, plan_path)
    pace = (speed or 1.0) if agent_per_host and driver == "simulated" else None
    options = RunOptions(
        agents,
        ray,
        plan_path.resolve(),
        path.resolve(),
        where,
        take_over,
        None if pace else speed,
        NOTHING if health is None else read_health(health),
        ask_for_approval,
        agent_per_host,
        on_drift=on_drift or ("revise" if driver == "simulated" else "ask"),
        command=command_given(),
    )
    wrong = Failures(
        migrations_per_mille=failures,
        retryable_share=retryable_share,
        lost_hosts_per_mille=lost_hosts,
        overruns_per_mille=overruns,
        overrun_factor=overrun_factor,
    )
    live = None
    if driver == "libvirt":
        refuse_simulation(
            {"--failures": failures, "--lost-hosts": lost_hosts, "--overruns": overruns, "--answering": answering}
            | {"--created-vms": created_vms, "--deleted-vms": deleted_vms, "--moved-vms": moved_vms}
        )
        answer_at = connections or connections_beside(path)
        action = maintenance_action(maintenance, patch_command, plan.hosts["host_id"].to_list())
        probe, metadata = (probe_port, probe_namespace), (metadata_address, metadata_bridge, metadata_namespace)
        live = libvirt_settings(answer_at, action, shared_path, probe, approve_as, metadata, fabric)
    else:
        refuse_real_hosts({"--maintenance": maintenance, "--fabric": fabric})
    answers = Answering(per_mille=answering) if answering else None
    others = _others(created_vms, deleted_vms, moved_vms)
    before = finished_report(snapshot, plan, directory, live or simulation(seed, wrong, answers, pace, others))
    if before is not None:
        tell(finished_before(directory, simulated=live is None))
    if before is not None and (directory / PAGE_FILE).is_file():
        _, shown_plan = carried_out(snapshot, plan, directory, where) if before.summary.revisions else (None, plan)
        return show_report(before, planned_hosts(shown_plan), directory / PAGE_FILE, as_json=as_json)
    try:
        with told_to_end():
            if before is None:
                settings = live or simulation(seed, wrong, answers, pace, others)
                _make_ready(snapshot, plan, directory, settings, options, wait_for_store)
            done = before or _run(snapshot, plan, directory, (seed, wrong, answers, pace, others), live, options)
            shown = carried_out(snapshot, plan, directory, where) if done.summary.revisions else (snapshot, plan)
            page = write_page(directory, *shown, done)
    except KeyboardInterrupt as error:
        if not holds_campaign(directory):
            raise
        hosts = "" if live is None else "; migrations and patches that are under way end by themselves on their hosts"
        tell(f"interrupted: the same command goes on from the journal in {directory}{hosts}")
        return interrupted_code(error)
    return show_report(done, planned_hosts(shown[1]), page, as_json=as_json)


def _run_there(
    afar: Afar,
    path: AnyPath,
    plan_path: AnyPath,
    terms: TermsGiven,
    output: Path | None,
    how: tuple[bool, bool],
    *,
    as_json: bool,
) -> int:
    """Have a server carry the plan out; ``how``: whether it is left to it at once, and taken over."""
    from slacktide.service.afar.running import RunWanted, run_there

    detach, take_over = how
    wanted = RunWanted(terms.as_asked(), output, detach, take_over)
    return run_there(afar, path, plan_path, wanted, as_json=as_json)


def _beside(plan_path: AnyPath) -> Path:
    """Return where the campaign of a plan is kept, if nobody says otherwise."""
    if isinstance(plan_path, StoredPath):
        raise UsageError("--output", "is needed for a plan at a URL: campaigns are on this machine", "Give a directory")
    return plan_path.resolve().with_name(f"{plan_path.resolve().name}-campaign")


def _read_fitting(path: AnyPath, plan_path: AnyPath) -> tuple["FleetSnapshot", "Plan"]:
    """Return a fleet and a plan of it that patches something.

    Raises
    ------
    InputError
        If the plan is of another fleet, or patches no host.
    """
    from slacktide.planner.belonging import refuse_another_snapshot

    with progress("Reading fleet and plan"):
        snapshot, plan = read_both(path, plan_path)
    if plan.hosts.is_empty() and not plan.deferred.is_empty():
        fact = f"patches no host: all {plan.deferred.height:,} due hosts are deferred"
        raise InputError(str(plan_path), fact, "Do what its deferred hosts' remedies say, and plan again")
    refuse_another_snapshot(snapshot, plan)
    return snapshot, plan


def _make_ready(
    snapshot: "FleetSnapshot",
    plan: "Plan",
    directory: Path,
    settings: "DriverSettings",
    options: "RunOptions",
    limit_s: float | None,
) -> None:
    """Have the campaign's store answer and, before a campaign on real hosts begins, these as well."""
    from slacktide.executors.campaign_directory import begun_at, campaign_id
    from slacktide.executors.drivers.libvirt.settings import LibvirtSettings

    campaign, live = campaign_id(plan, settings), settings if isinstance(settings, LibvirtSettings) else None
    if live is not None:
        refuse_unheard_guests(live, plan.hosts.height, own_agents=options.use_ray and options.agents is None)
    wait_until_answers(directory, options.store, campaign, limit_s)
    if live is not None and begun_at(directory, options.store, campaign) is None:
        preflight_or_refuse(snapshot, plan, live)


def _others(created: float, deleted: float, moved: float) -> "Others | None":
    """Return what others do to a simulated fleet.

    Raises
    ------
    UsageError
        If they touch more VMs than there are.
    """
    from slacktide.executors.drivers.settings import Others

    if not (created or deleted or moved):
        return None
    if created + deleted + moved > 1000:
        fact = "are more than 1000 per mille together, and each VM is touched once at most"
        raise UsageError("--created-vms, --deleted-vms and --moved-vms", fact, "Give smaller ones")
    return Others(created_per_mille=created, deleted_per_mille=deleted, moved_per_mille=moved)


def _run(
    snapshot: "FleetSnapshot",
    plan: "Plan",
    directory: Path,
    simulated: "tuple[int, Failures, Answering | None, float | None, Others | None]",
    live: "LibvirtSettings | None",
    options: "RunOptions",
) -> "CampaignReport":
    from slacktide.executors.run import run_campaign
    from slacktide.service.campaign_text import progress_words
    from slacktide.service.progress_lines import ProgressLines
    from slacktide.service.stalled import FailedHosts, Stalled

    seed, failures, answering, pace, others = simulated
    say_compiling()
    with progress("Running") as told, held_interrupts() as held:

        def tell_resumed(now: "Progress") -> None:
            tell(f"resumed from the journal: {now.migrations_done:,} of {counted(now.migrations, 'migration')} done")

        stalled, lines, failed = Stalled(), ProgressLines(), FailedHosts()

        def tell_progress(now: "Progress") -> None:
            stalled.tell(now.waits_for)
            failed.tell(now)
            told(*progress_words(now))
            lines.tell(now)
            held.let_through()

        return run_campaign(
            snapshot,
            plan,
            directory,
            seed=seed,
            failures=failures,
            answering=answering,
            pace=pace,
            others=others,
            live=live,
            progress=tell_progress,
            resumed=tell_resumed,
            tell=tell,
            options=options,
        )
