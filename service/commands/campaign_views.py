"""``slacktide campaign list``, ``show``, ``watch`` and ``signals``: campaigns, and what pauses them, are looked at."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from slacktide.errors import SlacktideError, StoreError, UsageError
from slacktide.service.campaign_view import Viewed, place_of, view
from slacktide.service.commands.options import HERE, Afar, AsJson, CampaignPath, StoreUrl
from slacktide.service.console import document, figures, progress, show, tell, told_if_slow
from slacktide.service.failures import OK, REFUSED, complain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slacktide.executors.health.watching import Verdict
    from slacktide.executors.store.address import Store
    from slacktide.executors.store.campaigns import StoredCampaign
    from slacktide.executors.waiting import Waiting
    from slacktide.service.control_text import Listed

LOOK_S: Final = 1.0
"""How often a campaign that is watched is looked at."""

SLOW: Final = "waiting: the campaign's store has not answered yet, which may be locked or busy; large ones take a while"
SLOW_S: Final = 5.0
"""Reading a campaign of a thousand hosts takes a second or two."""

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
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """List campaigns: those in a folder's directories, of triggers as well, or all that a store or a server has.

    The exit code is 1 if one could not be listed, as its store does not answer; the others are listed all the same.
    """
    if afar.named:
        from slacktide.service.afar.campaigns import listed_there

        return show_listed(listed_there(afar), as_json=as_json)
    from slacktide.executors.campaign_file import holds_campaign
    from slacktide.executors.store.address import parse_store
    from slacktide.executors.store.campaigns import list_campaigns
    from slacktide.executors.triggers.making import CAMPAIGN

    if store is not None:
        at = parse_store(store)
        return show_listed([_listed(at, each, None) for each in list_campaigns(at)], as_json=as_json)
    if not folder.is_dir():
        raise UsageError(str(folder), "is no directory", "Give a folder that holds directories of campaigns")
    below = [place for place in sorted(folder.iterdir()) if place.is_dir()]
    places = dict.fromkeys(at for place in (folder, *below) for at in (place, place / CAMPAIGN) if holds_campaign(at))
    found, away = [], []
    for place in places:
        try:
            found.append(_listed(*place_of(place, None), place))
        except SlacktideError as error:
            away.append((place, error))
    if len(places) == 1 and away:
        raise away[0][1]
    code = show_listed(found, as_json=as_json)
    for place, reason in away:
        complain(f"{place}, whose campaign cannot be listed now: {reason}")
    return REFUSED if away else code


def show_listed(listed: "Sequence[Listed]", *, as_json: bool) -> int:
    """Print a list of campaigns."""
    from slacktide.service.control_text import listed_row

    if as_json:
        document([each.as_dict() for each in listed])
        return OK
    for each in listed:
        show(figures([listed_row(each)]))
    if not listed:
        tell("no campaign")
    return OK


def _listed(at: "Store", each: "StoredCampaign", place: Path | None) -> "Listed":
    """Return a campaign of a store as it is listed; ``place``: its directory, if that is known."""
    from slacktide.executors.starting import process_starting
    from slacktide.service.campaign_standing import holding, known_in, standing_of
    from slacktide.service.control_text import Listed

    knows, starting = known_in(each, at, place), None if place is None else process_starting(place)
    held = holding(each, starting)
    return Listed(
        directory=None if place is None else str(place),
        campaign_id=each.record.campaign_id,
        plan_id=each.record.plan_id,
        origin=each.record.origin.isoformat(),
        standing=standing_of(knows, each, starting),
        holder=None if held.word in ("stopped", "starting") else each.holder,
        state=each.state,
        waits_for_approval=knows.waits_for_approval,
        who=None if knows.finished else held.who,
    )


@campaign.command(name="show", sort_key=2)
def show_one(path: CampaignPath, /, *, store: StoreUrl = None, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Show where a campaign stands, what was asked of it, and for each host and VM that waits why and since when."""
    if afar.named:
        from slacktide.service.afar.campaigns import show_there

        return show_there(afar, path, as_json=as_json)
    from slacktide.service.campaign_text import left_text
    from slacktide.service.control_text import not_patched_now, orders_text, view_document, view_rows, waiting_text

    with progress("Reading the campaign"), told_if_slow(SLOW, SLOW_S):
        viewed = view(path, store)
        waits = _waits(viewed)
    if as_json:
        document(view_document(viewed, waits))
        return OK
    show(figures(view_rows(viewed)))
    left = not_patched_now(viewed.state)
    if left.why:
        show(left_text(left, "with --json"))
    if asked := orders_text(viewed.orders, viewed.asked_for, viewed.state.orders, viewed.clock):
        show(asked)
    if waits:
        show(waiting_text(waits, viewed.now_s))
    return OK


@campaign.command(sort_key=3)
def watch(path: CampaignPath, /, *, store: StoreUrl = None, afar: Afar = HERE) -> int:
    """Watch a campaign until it ends: waves, hosts, orders, pauses, failures, and waits that last are told.

    Ctrl-C ends the watching alone.
    """
    if afar.named:
        from slacktide.service.afar.campaigns import watch_there

        return watch_there(afar, path)
    from slacktide.executors.progress import progress as progress_of
    from slacktide.executors.store.patience import is_unknown_host
    from slacktide.service.campaign_news import CampaignNews
    from slacktide.service.campaign_text import progress_words
    from slacktide.service.campaign_view import Followed
    from slacktide.service.stalled import Stalled

    trouble = Stalled("it cannot be looked at now", "it can be looked at again")
    news, is_first = CampaignNews(), True
    followed: Followed | None = None
    with progress("Watching") as bar:
        while True:
            try:
                followed = followed or Followed(path, store)
                viewed = followed.look()
            except StoreError as error:
                if followed is None and is_unknown_host(error):
                    raise
                trouble.tell(f"{error.subject} {error.fact}")
                time.sleep(LOOK_S)
                continue
            trouble.tell(None)
            far = progress_words(progress_of(viewed.state, viewed.state.program))
            bar(*far)
            if is_first:
                tell(far[1])
            for line in news.lines(viewed, [] if is_first else followed.news, _waits(viewed)):
                tell(line)
            is_first = False
            if viewed.state.finished:
                break
            time.sleep(LOOK_S)
    return OK


@campaign.command(sort_key=13)
def signals(
    path: Annotated[
        Path,
        Parameter(
            name="FILE", help="YAML or JSON file of signals and budgets; with a server, its name for the real hosts."
        ),
    ],
    /,
    *,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Look once at every signal of a health file, as a campaign would; the exit code is 1 if one is not well."""
    if afar.named:
        from slacktide.service.afar.campaigns import signals_there

        return show_signals(signals_there(afar, str(path)), as_json=as_json)
    from slacktide.executors.health.files import read_health
    from slacktide.executors.health.watching import Watch

    health = read_health(path)
    with progress("Looking at signals"):
        watch = Watch(health)
        found = sorted(watch.changes())
        watch.close()
    return show_signals(found, as_json=as_json)


def show_signals(found: "Sequence[Verdict]", *, as_json: bool) -> int:
    """Print how signals are, and return the exit code: 1 if one is not well."""
    from slacktide.service.control_text import signal_rows

    if as_json:
        document([each._asdict() for each in found])
    else:
        show(figures(signal_rows(found)))
    return OK if all(each.healthy for each in found) else REFUSED


def _waits(viewed: Viewed) -> "list[Waiting]":
    from slacktide.executors.waiting import waiting

    return waiting(viewed.state, viewed.now_s)
