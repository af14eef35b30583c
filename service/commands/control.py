"""``slacktide campaign``: campaigns are looked at, and told what to do while they run."""

import getpass
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from slacktide.errors import InputError, UsageError
from slacktide.service.campaign_view import Viewed, ask_for, place_of, refuse_unknown_host, view
from slacktide.service.commands.options import AsJson, CampaignPath, Whole
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import OK, REFUSED

if TYPE_CHECKING:
    from slacktide.executors.orders import Order
    from slacktide.executors.store.campaigns import StoredCampaign
    from slacktide.executors.waiting import Waiting

LOOK_S: Final = 1.0
"""How often a campaign that is watched is looked at."""
_LIMIT = re.compile(r"([\w.-]+)=(\d+(?:\.\d+)?%?)")

By = Annotated[str | None, Parameter(help="Who asks, for the audit log. [default: user and machine]")]
Why = Annotated[str, Parameter(help="Why, for the audit log.")]
StoreUrl = Annotated[
    str | None, Parameter(name="--store", help="URL of the store. [default: SLACKTIDE_STORE, else where it was begun]")
]
Cancel = Annotated[bool, Parameter(negative="")]

campaign = App(
    name="campaign",
    help="Campaigns that run: looked at, approved, paused, resumed, aborted, changed. Each command takes effect within "
    "a second or two where the campaign is being carried out, else once it is.",
    help_epilogue="",
    sort_key=12,
)


@campaign.command(name="list", sort_key=1)
def list_all(
    folder: Annotated[Path, Parameter(help="Folder in whose directories campaigns are looked for.")] = Path(),
    /,
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """List campaigns: those in a folder's directories, or with --store all that are kept there."""
    from slacktide.executors.campaign_file import holds_campaign
    from slacktide.executors.store.address import parse_store
    from slacktide.executors.store.campaigns import list_campaigns

    if store is not None:
        found = [("", each) for each in list_campaigns(parse_store(store))]
    else:
        if not folder.is_dir():
            raise UsageError(str(folder), "is no directory", "Give a folder that holds directories of campaigns")
        places = [place for place in (folder, *sorted(folder.iterdir())) if holds_campaign(place)]
        found = [(str(place), place_of(place, None)[1]) for place in places]
    waiting = {each.record.campaign_id: _waits_to_begin(each, place, store) for place, each in found}
    if as_json:
        rows = [
            {
                "directory": place or None,
                "campaign_id": each.record.campaign_id,
                "plan_id": each.record.plan_id,
                "origin": each.record.origin.isoformat(),
                "holder": each.holder if each.is_held else None,
                "state": each.state,
                "waits_for_approval": waiting[each.record.campaign_id],
            }
            for place, each in found
        ]
        document(rows)
        return OK
    for place, each in found:
        held = f"carried out by {each.holder}" if each.is_held else each.state or "carried out by nobody now"
        if waiting[each.record.campaign_id]:
            held = f"waits for approval; {held}"
        begun = f"plan {each.record.plan_id}, origin {each.record.origin:%Y-%m-%d %H:%M} UTC"
        show(figures([(str(each.record.campaign_id), place, f"{held}; {begun}")]))
    if not found:
        tell("no campaign")
    return OK


@campaign.command(name="show", sort_key=2)
def show_one(path: CampaignPath, /, *, store: StoreUrl = None, as_json: AsJson = False) -> int:
    """Show where a campaign stands, what was asked of it, and for each host and VM that waits why and since when."""
    from slacktide.service.control_text import orders_text, view_document, view_rows, waiting_text

    with progress("Reading the campaign"):
        viewed = view(path, store)
        waits = _waits(viewed)
    if as_json:
        document(view_document(viewed, waits))
        return OK
    show(figures(view_rows(viewed)))
    if viewed.orders:
        show(orders_text(viewed.orders))
    if waits:
        show(waiting_text(waits, viewed.now_s))
    return OK


@campaign.command(sort_key=3)
def watch(path: CampaignPath, /, *, store: StoreUrl = None) -> int:
    """Watch a campaign until it ends; what it waits for is told as it comes up.  Ctrl-C ends the watching alone."""
    from slacktide.executors.progress import progress as progress_of
    from slacktide.service.campaign_text import progress_words
    from slacktide.service.control_text import standing

    told: set[tuple[str, str]] = set()
    with progress("Watching") as bar:
        while True:
            viewed = view(path, store)
            bar(*progress_words(progress_of(viewed.state, viewed.state.program)))
            for each in _waits(viewed):
                if (each.subject, each.reason) not in told:
                    told.add((each.subject, each.reason))
                    tell(f"{each.subject} waits: {each.reason}")
            if viewed.state.finished:
                break
            time.sleep(LOOK_S)
    tell(f"the campaign is {standing(viewed)}")
    return OK


@campaign.command(sort_key=4)
def approve(
    path: CampaignPath,
    /,
    *,
    wave: Whole | None = None,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Let a wave begin whose gate asks for a person's approval.

    Parameters
    ----------
    wave
        Number of the wave, from 0. [default: the next that asks for approval]
    """
    from slacktide.executors.orders import Approve

    return _asked(path, store, Approve(wave=wave), by, why, as_json=as_json)


@campaign.command(sort_key=5)
def pause(
    path: CampaignPath,
    /,
    *,
    cancel: Cancel = False,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Begin nothing new: no drain, no migration, no patch.  Patches that are under way end by themselves.

    Parameters
    ----------
    cancel
        Stop migrations that are under way as well, as far as they can be; they begin again after the pause.
    """
    from slacktide.executors.orders import Pause

    return _asked(path, store, Pause(cancel=cancel), by, why, as_json=as_json)


@campaign.command(sort_key=6)
def resume(
    path: CampaignPath, /, *, by: By = None, why: Why = "", store: StoreUrl = None, as_json: AsJson = False
) -> int:
    """Go on after a pause."""
    from slacktide.executors.orders import Resume

    return _asked(path, store, Resume(), by, why, as_json=as_json)


@campaign.command(sort_key=7)
def abort(
    path: CampaignPath,
    /,
    *,
    cancel: Cancel = False,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Begin nothing new any more, and end: VMs stay where they are, hosts that are being patched come back.

    Parameters
    ----------
    cancel
        Stop migrations that are under way as well, as far as they can be; else they are finished.
    """
    from slacktide.executors.orders import Abort

    return _asked(path, store, Abort(cancel=cancel), by, why, as_json=as_json)


@campaign.command(sort_key=8)
def skip(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host that has not been drained.")],
    /,
    *,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Leave a host alone, and what depends on its room; VMs that have left it stay where they are."""
    from slacktide.executors.orders import Skip

    refuse_unknown_host(path, store, host)
    return _asked(path, store, Skip(host_id=host), by, why, as_json=as_json)


@campaign.command(sort_key=9)
def limits(
    path: CampaignPath,
    limit: Annotated[tuple[str, ...], Parameter(help='Hosts out at once: "fleet=20", "rack=1" or "rack=10%".')],
    /,
    *,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Let other limits on hosts out hold from now on; hosts that are out already stay out until they have returned."""
    from slacktide.executors.orders import Limits

    found = [_LIMIT.fullmatch(text.replace(" ", "")) for text in limit]
    if not limit or not all(found):
        fact = f"{' '.join(limit) or 'nothing'} is no limit"
        raise UsageError(
            "limits", fact, 'Give kinds of failure domain and counts or shares, such as "fleet=20" "rack=10%"'
        )
    max_out = {match[1]: match[2] if match[2].endswith("%") else int(match[2]) for match in found if match}
    try:
        order = Limits(max_out=max_out)
    except ValueError as error:
        raise InputError("limits", str(error).splitlines()[2].strip(), "Give another count or share") from None
    return _asked(path, store, order, by, why, as_json=as_json)


@campaign.command(sort_key=10)
def revise(
    path: CampaignPath,
    /,
    *,
    add_host: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    give_up: Annotated[bool, Parameter(negative="")] = False,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Have the rest planned anew, from where the campaign stands, and go over to that if its audit finds no error.

    Nothing new begins while it is planned. Hosts that could not be drained are planned again where that is possible; a
    gate that lost hosts keep closed opens once hosts that take their place have returned.

    Parameters
    ----------
    add_host
        Host of the fleet that is to be patched as well; may be given several times.
    give_up
        Plan nothing anew: what waits for a plan, as something that it depends on has failed, is given up.
    """
    from slacktide.executors.orders import Revise

    if give_up and add_host:
        raise UsageError("--give-up and --add-host", "contradict each other", "Choose one of them")
    for host in add_host:
        refuse_unknown_host(path, store, host)
    return _asked(path, store, Revise(add_hosts=add_host, give_up=give_up), by, why, as_json=as_json)


@campaign.command(sort_key=11)
def add(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host of the fleet that is to be patched as well.")],
    /,
    *,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Have a host patched as well: the rest is planned anew with it."""
    from slacktide.executors.orders import Revise

    refuse_unknown_host(path, store, host)
    return _asked(path, store, Revise(add_hosts=(host,)), by, why, as_json=as_json)


@campaign.command(sort_key=12)
def evacuate(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host of the fleet that is about to fail.")],
    /,
    *,
    by: By = None,
    why: Why = "",
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Empty a host that is about to fail, before all others leave: it is not patched, and stays out.

    The rest is planned anew: what is under way goes on, and nobody else begins to leave before this host. It waits for
    no gate, no canary and no decision about what has happened; while the campaign is paused it waits for the end of the
    pause. `skip` takes it back as long as VMs are on the host.
    """
    from slacktide.executors.orders import Evacuate

    return _asked(path, store, Evacuate(host_id=host), by, why, as_json=as_json)


@campaign.command(sort_key=13)
def signals(
    path: Annotated[Path, Parameter(name="FILE", help="YAML or JSON file of signals and budgets.")],
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Look once at every signal of a health file, as a campaign would; the exit code is 1 if one is not well."""
    from slacktide.executors.health.files import read_health
    from slacktide.executors.health.watching import WELL, Watch

    health = read_health(path)
    with progress("Looking at signals"):
        watch = Watch(health)
        found = sorted(watch.changes())
        watch.close()
    if as_json:
        document([each._asdict() for each in found])
    else:
        show(
            figures(
                [
                    (each.name, "well" if each.healthy else "not well", "" if each.detail == WELL else each.detail)
                    for each in found
                ]
            )
        )
    return OK if all(each.healthy for each in found) else REFUSED


def _waits_to_begin(each: "StoredCampaign", place: str, store: str | None) -> bool:
    """Return whether a campaign's first wave waits for a person's approval; a plan that is away says nothing of it."""
    from slacktide.executors.campaign_file import kept_in
    from slacktide.executors.store.address import parse_store
    from slacktide.executors.store.campaigns import FINISHED
    from slacktide.executors.store.milestones import milestones
    from slacktide.planner.plan_files import first_gate

    if each.state == FINISHED or each.record.plan_path is None:
        return False
    if first_gate(Path(each.record.plan_path)) != "approval":
        return False
    kept = kept_in(Path(place)) if store is None else None
    where = kept.store if kept is not None else parse_store(store or "")
    return not milestones(where, each.record.campaign_id).opened


def _waits(viewed: Viewed) -> "list[Waiting]":
    from slacktide.executors.waiting import waiting

    return waiting(viewed.state, viewed.now_s)


def _asked(path: Path, store: str | None, order: "Order", by: str | None, why: str, *, as_json: bool) -> int:
    """Ask something of a campaign, and print what comes of it."""
    from slacktide.executors.control_events import OrderRefused
    from slacktide.executors.event_codec import to_json
    from slacktide.executors.order_words import order_words
    from slacktide.service.control_text import unanswered_words

    asked = ask_for(path, store, order, by or f"{getpass.getuser()}@{socket.gethostname()}", why)
    answer = asked.answer
    if as_json:
        said = {"order": asked.number, "answer": None if answer is None else to_json(answer)}
        document(said | {"carried_out_by": asked.holder, "trouble": asked.trouble})
    elif answer is None:
        show(unanswered_words(asked))
    else:
        show(order_words(answer))
    return REFUSED if isinstance(answer, OrderRefused) else OK
