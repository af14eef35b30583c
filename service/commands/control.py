"""What is asked of campaigns that run: ``slacktide campaign approve``, ``pause`` and the other orders."""

import getpass
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from slacktide.errors import UsageError
from slacktide.service.campaign_view import ask_for, refuse_unknown_host
from slacktide.service.commands.campaign_views import campaign as campaign
from slacktide.service.commands.options import HERE, Afar, AsJson, CampaignPath, StoreUrl, Whole
from slacktide.service.console import document, show
from slacktide.service.failures import OK, REFUSED
from slacktide.service.one_line import MOST_SAID, is_one_line

if TYPE_CHECKING:
    from slacktide.executors.orders import Order

_LIMIT = re.compile(r"([\w.-]+)=([0-9]{1,12}|[0-9]{1,12}(?:\.[0-9]{1,9})?%)")

Cancel = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asking(Afar):
    """Options of every command that asks something of a campaign."""

    by: Annotated[
        str | None, Parameter(help="Who asks, for the audit log; a server knows. [default: user and machine]")
    ] = None
    why: Annotated[str, Parameter(help="Why, for the audit log.")] = ""
    store: StoreUrl = None
    as_json: AsJson = False


ASKING: Final = Asking()


@campaign.command(sort_key=4)
def approve(path: CampaignPath, /, *, wave: Whole | None = None, asking: Asking = ASKING) -> int:
    """Let a wave begin whose gate asks for a person's approval.

    Parameters
    ----------
    wave
        Number of the wave, from 0; one that is yet to come is approved ahead. [default: the one that waits now]
    """
    from slacktide.executors.orders import Approve

    return _asked(path, Approve(wave=wave), asking)


@campaign.command(sort_key=5)
def pause(path: CampaignPath, /, *, cancel: Cancel = False, asking: Asking = ASKING) -> int:
    """Begin nothing new: no drain, no migration, no patch.  Patches that are under way end by themselves.

    Parameters
    ----------
    cancel
        Stop migrations that are under way as well, as far as they can be; they begin again after the pause.
    """
    from slacktide.executors.orders import Pause

    return _asked(path, Pause(cancel=cancel), asking)


@campaign.command(sort_key=6)
def resume(path: CampaignPath, /, *, asking: Asking = ASKING) -> int:
    """Go on after a pause."""
    from slacktide.executors.orders import Resume

    return _asked(path, Resume(), asking)


@campaign.command(sort_key=7)
def abort(path: CampaignPath, /, *, cancel: Cancel = False, asking: Asking = ASKING) -> int:
    """Begin nothing new any more, and end: VMs stay where they are, hosts that are being patched come back.

    Parameters
    ----------
    cancel
        Stop migrations that are under way as well, as far as they can be; else they are finished.
    """
    from slacktide.executors.orders import Abort

    return _asked(path, Abort(cancel=cancel), asking)


@campaign.command(sort_key=8)
def skip(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host that has not been drained.")],
    /,
    *,
    asking: Asking = ASKING,
) -> int:
    """Leave a host alone, and what depends on its room; VMs that have left it stay where they are."""
    from slacktide.executors.orders import Skip

    _refuse_unknown_host(path, asking, host)
    return _asked(path, Skip(host_id=host), asking)


@campaign.command(sort_key=9)
def limits(
    path: CampaignPath,
    limit: Annotated[tuple[str, ...], Parameter(help='Hosts out at once: "fleet=20", "rack=1" or "rack=10%".')],
    /,
    *,
    asking: Asking = ASKING,
) -> int:
    """Let other limits on hosts out hold from now on; hosts that are out already stay out until they have returned."""
    from pydantic import ValidationError

    from slacktide.executors.orders import Limits

    found = [_LIMIT.fullmatch(text.replace(" ", "")) for text in limit]
    wrong = [text for text, match in zip(limit, found, strict=True) if match is None]
    if wrong or not limit:
        fact = f"{wrong[0] if wrong else 'nothing'} is no limit"
        raise UsageError(
            "limits", fact, 'Give kinds of failure domain and counts or shares, such as "fleet=20" "rack=10%"'
        )
    max_out = {match[1]: match[2] if match[2].endswith("%") else int(match[2]) for match in found if match}
    if len(max_out) < len(limit):
        raise UsageError("limits", "name a kind of failure domain twice", "Give one limit for each")
    try:
        order = Limits(max_out=max_out)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        fact = f"{fault['loc'][-1]}: {fault['msg'].removeprefix('Value error, ')}"
        raise UsageError("limits", fact, "Give another count or share") from None
    return _asked(path, order, asking)


@campaign.command(sort_key=10)
def revise(
    path: CampaignPath,
    /,
    *,
    add_host: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    give_up: Annotated[bool, Parameter(negative="")] = False,
    asking: Asking = ASKING,
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
        _refuse_unknown_host(path, asking, host)
    return _asked(path, Revise(add_hosts=add_host, give_up=give_up), asking)


@campaign.command(sort_key=11)
def add(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host of the fleet that is to be patched as well.")],
    /,
    *,
    asking: Asking = ASKING,
) -> int:
    """Have a host patched as well: the rest is planned anew with it."""
    from slacktide.executors.orders import Revise

    _refuse_unknown_host(path, asking, host)
    return _asked(path, Revise(add_hosts=(host,)), asking)


@campaign.command(sort_key=12)
def evacuate(
    path: CampaignPath,
    host: Annotated[str, Parameter(help="Id of a host of the fleet that is about to fail.")],
    /,
    *,
    asking: Asking = ASKING,
) -> int:
    """Empty a host that is about to fail, before all others leave: it is not patched, and stays out.

    The rest is planned anew: what is under way goes on, and nobody else begins to leave before this host. It waits for
    no gate, no canary and no decision about what has happened; while the campaign is paused it waits for the end of the
    pause. `skip` takes it back as long as VMs are on the host.
    """
    from slacktide.executors.orders import Evacuate

    _refuse_unknown_host(path, asking, host)
    return _asked(path, Evacuate(host_id=host), asking)


def _refuse_unprintable(option: str, text: str) -> None:
    if len(text) > MOST_SAID:
        raise UsageError(option, f"has {len(text):,} characters, of {MOST_SAID} at most", "Say it in fewer")
    if not is_one_line(text):
        fact = "has a line break, or a character that cannot be printed"
        raise UsageError(option, fact, "Write one line of text, in UTF-8")


@campaign.command(sort_key=14)
def start(path: CampaignPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Have a server start a campaign that waits for that, or that it has given up."""
    from slacktide.service.afar.campaigns import start_there

    return start_there(afar, path, take_over=False, as_json=as_json)


@campaign.command(sort_key=15)
def take_over(path: CampaignPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Have a server take a campaign from a coordinator that still holds it; that one can do nothing any more.

    Where this machine carries it out, that is `slacktide run --take-over`.
    """
    from slacktide.service.afar.campaigns import start_there

    return start_there(afar, path, take_over=True, as_json=as_json)


def _refuse_unknown_host(path: Path, asking: Asking, host: str) -> None:
    """Refuse a host that the campaign's fleet does not have; a server does so itself."""
    if not asking.named:
        refuse_unknown_host(path, asking.store, host)


def _asked(path: Path, order: "Order", asking: Asking) -> int:
    """Ask something of a campaign, and print what comes of it."""
    from slacktide.executors.control_events import OrderRefused
    from slacktide.executors.event_codec import to_json
    from slacktide.executors.order_words import order_words
    from slacktide.service.control_text import unanswered_words

    _refuse_unprintable("--why", asking.why)
    _refuse_unprintable("--by", asking.by or "")
    if asking.named:
        from slacktide.service.afar.campaigns import asked_there

        asking.refuse_here({"--by": asking.by, "--store": asking.store}, "Leave it out: the server knows who asks")
        asked = asked_there(asking, path, order, asking.why)
    else:
        by = asking.by or f"{getpass.getuser()}@{socket.gethostname()}"
        asked = ask_for(path, asking.store, order, by, asking.why)
    answer = asked.answer
    if asking.as_json:
        said = {"order": asked.number, "answer": None if answer is None else to_json(answer)}
        document(said | {"carried_out_by": asked.holder, "trouble": asked.trouble})
    elif asked.number is None:
        show("aborted before it began: nothing of it is carried out")
    elif answer is None:
        show(unanswered_words(asked))
    else:
        show(order_words(answer))
    return REFUSED if isinstance(answer, OrderRefused) else OK
