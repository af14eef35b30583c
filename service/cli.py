"""The command line: ``slacktide``.

Commands live in :mod:`slacktide.service.commands`; what they compute with is imported when they run, so that help and
errors of usage answer at once.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from slacktide import __version__
from slacktide.executors.logs import are_asked_for, log_settings, log_to
from slacktide.service.command_line import given
from slacktide.service.commands.calibrate import calibrate
from slacktide.service.commands.campaign import run
from slacktide.service.commands.compare import compare
from slacktide.service.commands.control import campaign
from slacktide.service.commands.doctor import doctor
from slacktide.service.commands.fleet import fleet
from slacktide.service.commands.inventory import import_libvirt  # noqa: F401  (a command of `fleet import`)
from slacktide.service.commands.lab import lab
from slacktide.service.commands.maintenance import maintenance
from slacktide.service.commands.metrics import metrics
from slacktide.service.commands.plan import plan
from slacktide.service.commands.plan_views import audit, explain
from slacktide.service.commands.policy import policy
from slacktide.service.commands.preflight import preflight
from slacktide.service.commands.report import report
from slacktide.service.commands.revise import revise
from slacktide.service.commands.serve import serve, token
from slacktide.service.commands.server import server
from slacktide.service.commands.store import store
from slacktide.service.commands.triggers import triggers
from slacktide.service.commands.urgent import urgent
from slacktide.service.commands.what_if import pareto, what_if
from slacktide.service.console import document
from slacktide.service.failures import OK, USAGE, complain, error_document, guarded

EPILOGUE = """Exit codes: 0 done; 1 a finding of severity error, nothing that can be planned, hosts that did not return,
wrong content of a file, or a file that cannot be written; 2 wrong usage, such as an unknown option or a path that does
not exist; 70 a bug; 130 interrupted; 143 asked to end by SIGTERM.

With --json standard output holds one JSON document: the result or {"error": {...}}; all else is on standard error."""

HERE_ONLY: Final = {
    "lab": "Leave --server out, on the machine that the lab is to be on",
    "serve": "Leave --server out, on the machine that is to be the server",
    "token": "Run it on the server; or ask the API as an admin: POST /v1/tokens",
    "triggers": "Run it where the files are that it watches; campaigns that a server begins are asked of it",
    "preflight": "Leave --server out; a server asks the hosts of a profile itself before a campaign begins there",
    "revise": "Have the server plan the rest of a campaign anew: `slacktide campaign revise`",
    "store": "Run it on the server: it is about the files and the database there",
    "doctor": "Run it on the server, or wherever something is to be mended",
    "metrics": "Run it on the machine that Ray's head is on",
    "maintenance": "Run it on the server: what patches hosts is written in its profiles",
}
"""What to do in place of asking a server, where it makes no sense to ask one."""

OF_SERVER: Final = {
    "--server": "URL",
    "--token-file": "FILE",
    "--ca-file": "FILE",
    "--wait-for-server": "10min",
}
"""Options of every command that a server can carry out, and an example of each value."""

app = App(
    name="slacktide",
    help="Patch a whole fleet of VM hosts without its guests noticing.",
    help_epilogue=EPILOGUE.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n"),
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
app.command(fleet)
app.command(policy)
app.command(plan, sort_key=3, help_epilogue="")
app.command(audit, sort_key=4, help_epilogue="")
app.command(explain, sort_key=5, help_epilogue="")
app.command(compare, sort_key=6, help_epilogue="")
app.command(what_if, sort_key=7, help_epilogue="")
app.command(pareto, sort_key=8, help_epilogue="")
app.command(preflight, sort_key=9, help_epilogue="")
app.command(maintenance)
app.command(run, sort_key=10, help_epilogue="")
app.command(urgent, sort_key=10, help_epilogue="")
app.command(campaign)
app.command(triggers)
app.command(report, sort_key=11, help_epilogue="")
app.command(revise, sort_key=12, help_epilogue="")
app.command(calibrate, sort_key=13, help_epilogue="")
app.command(serve, sort_key=14, help_epilogue="")
app.command(token)
app.command(metrics)
app.command(store)
app.command(doctor, sort_key=17, help_epilogue="")
app.command(server)
app.command(lab)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line (by default the process's own) and return its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in tokens
    if arguments is None and are_asked_for():
        log_to(sys.stderr, log_settings())
    if arguments is None and not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' advice to programmers is no news to operators
    with given(tokens):
        return guarded(lambda: _carried_out(tokens, as_json=as_json), as_json=as_json)


def _carried_out(tokens: list[str], *, as_json: bool) -> int:
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        chain = tuple(error.command_chain or ())
        if (left := _without_local(chain, tokens)) is not None:
            return _carried_out(left, as_json=as_json)
        command = " ".join(("slacktide", *chain))
        fact, remedy = _before_command(tokens) or _here_only(chain, tokens) or (_fact(error), f"See `{command} --help`")
        complain(f"{fact} {remedy}")
        if as_json:
            document(error_document("UsageError", command, fact, remedy, USAGE))
        return USAGE
    return code if isinstance(code, int) else OK


def _before_command(tokens: list[str]) -> tuple[str, str] | None:
    """Return that an option of servers comes after the command; None: none is before it."""
    option = tokens[0].partition("=")[0] if tokens else ""
    if option not in OF_SERVER:
        return None
    fact = f"{option} comes after the command, not before it."
    return fact, f"Give it so: `slacktide plan FLEET {option} {OF_SERVER[option]}`"


def _without_local(chain: tuple[str, ...], tokens: list[str]) -> list[str] | None:
    """Return a command of this machine alone without `--server local`, which says just that; None: it has none."""
    from slacktide.service.client.access import HERE

    if "--server" in _options(chain):
        return None
    for place, word in enumerate(tokens):
        if word == f"--server={HERE}":
            return tokens[:place] + tokens[place + 1 :]
        if tokens[place : place + 2] == ["--server", HERE]:
            return tokens[:place] + tokens[place + 2 :]
    return None


def _here_only(chain: tuple[str, ...], tokens: list[str]) -> tuple[str, str] | None:
    """Return why a command knows no server, and what to do instead; None: it was not asked to use one."""
    if not any(token.partition("=")[0] == "--server" for token in tokens) or "--server" in _options(chain):
        return None
    remedy = HERE_ONLY.get("".join(chain[:1]), "Leave --server out: it needs no server")
    return f"`slacktide {' '.join(chain)}` works on this machine alone.", remedy


def _options(chain: tuple[str, ...]) -> set[str]:
    """Return the names of a command's options; of a group of commands it is not known what was meant."""
    try:
        found = app
        for name in chain:
            found = found[name]
        return {name for argument in found.assemble_argument_collection() for name in argument.names}
    except (KeyError, ValueError):
        return {"--server"}


def _fact(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"Unexpected: {' '.join(error.unused_tokens or ())}."
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
