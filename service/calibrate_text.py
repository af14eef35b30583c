"""What campaigns have taught about migrations, as tables for people and as one document for programs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slacktide.executors.readable import percent
from slacktide.planner.calibration import FEWEST, IN_POLICY, PAIR
from slacktide.service.console import figures
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.planner.calibration import Calibration, Observations
    from slacktide.planner.policy import Policy
    from slacktide.planner.prediction_errors import Prediction

_UNITS: Final = {"setup_s": "s", "goodput": "", "switchover_ms": "ms", "forwarding_s": "s", "sent_share": ""}
_WORDS: Final = {
    "setup_s": "setup",
    "goodput": "goodput",
    "switchover_ms": "switchover",
    "forwarding_s": "forwarding",
    "sent_share": "memory sent, share",
}
_WIDTHS: Final = (18, 10, 9, 9, 9, 9)
"""Of the columns of one pair's table: the same in all of them."""


def calibration_text(
    observations: "Observations",
    calibration: "Calibration",
    before: "Policy",
    after: "Policy",
    errors: "Sequence[Prediction]",
) -> Group:
    """Return what was learnt by pair of machine types, what the policy takes of it, and how good predictions are."""
    campaigns = counted(len(observations.policies), "campaign")
    parts: list[RenderableType] = [
        Text(f"{counted(observations.table.height, 'migration')} of {campaigns}{_left_out(observations)}"),
        Text(f"learnt: what {calibration.caution:.0%} of the migrations of a pair kept to"),
    ]
    pairs = list(_by_pair(calibration))
    several = len(pairs) > 2  # with one pair, all together are that one
    for pair, rows in pairs if several else pairs[:1]:
        parts += [Text(f"\n{_pair_words(pair)}", style="bold"), _pair_table(rows)]
    parts += [
        Text("\nmigration: in the policy", style="bold"),
        figures(list(_written(calibration, before, after, several=several))),
        Text("\nPrediction errors, |predicted - measured| / measured", style="bold"),
        _error_table(errors),
        Text(f"\n{caution_words(calibration.caution, before, after, errors)}"),
    ]
    return Group(*parts, *_warnings(after, errors))


def calibration_document(
    observations: "Observations",
    calibration: "Calibration",
    before: "Policy",
    after: "Policy",
    errors: "Sequence[Prediction]",
) -> dict[str, Any]:
    """Return the same for programs."""
    pairs = dict(_by_pair(calibration))
    together = pairs.pop((None, None))
    return {
        "campaigns": len(observations.policies),
        "migrations": observations.table.height,
        "caution": calibration.caution,
        "not_done": observations.not_done,
        "other_strategies": observations.other_strategies,
        "pairs": [
            {"source_type": source, "target_type": target, "figures": _figures_document(rows)}
            for (source, target), rows in pairs.items()
        ],
        "all_pairs": _figures_document(together),
        "migration": {
            name: {"before": getattr(before.migration, name), "after": getattr(after.migration, name)}
            for name in IN_POLICY
        },
        "prediction_errors": [error.as_dict() for error in errors],
    }


def _figures_document(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = (*PAIR, "figure")
    return {row["figure"]: {name: value for name, value in row.items() if name not in keys} for row in rows}


def _left_out(observations: "Observations") -> str:
    left = (
        (observations.not_done, "not done"),
        (observations.other_strategies, "of strategies whose figures cannot be told apart"),
    )
    words = ", ".join(f"{number:,} {why}" for number, why in left if number)
    return f"; left out: {words}" if words else ""


def _by_pair(calibration: "Calibration") -> Iterator[tuple[tuple[str | None, str | None], list[dict[str, Any]]]]:
    """Yield each pair of machine types with its rows, all pairs together last, as the pair of nulls."""
    for pair, rows in calibration.figures.partition_by(PAIR, maintain_order=True, as_dict=True).items():
        yield (pair[0], pair[1]), rows.to_dicts()


def _pair_words(pair: tuple[object, object]) -> str:
    return "all pairs together" if pair[0] is None else f"{pair[0]} to {pair[1]}"


def _pair_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, (column, width) in enumerate(
        zip(("figure", "migrations", "median", "10 %", "90 %", "learnt"), _WIDTHS, strict=True)
    ):
        table.add_column(column, justify="right" if number else "left", no_wrap=True, min_width=width)
    table.add_column("")
    for row in rows:
        name = row["figure"]
        cells = [_value(name, row[column]) for column in ("median", "low", "high", "learnt")]
        table.add_row(_WORDS[name], f"{row['migrations']:,}", *cells, _remark(row))
    return table


def _remark(row: dict[str, Any]) -> str:
    if row["learnt"] is None:
        return f"fewer than {FEWEST}: nothing is learnt"
    if row["pooled"]:
        return f"fewer than {FEWEST}: as all pairs together"
    return "no policy has it" if row["figure"] not in IN_POLICY else ""


def _value(figure: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f} ms" if figure == "switchover_ms" else f"{value:,.3f} {_UNITS[figure]}".strip()


def _written(
    calibration: "Calibration", before: "Policy", after: "Policy", *, several: bool
) -> Iterator[tuple[str, ...]]:
    """Yield each figure of the policy, as it was and as it is, and whose it is where there are several pairs."""
    for name in IN_POLICY:
        was, now = getattr(before.migration, name), getattr(after.migration, name)
        row = calibration.most_cautious(name)
        change = f"{was:g} -> {now:g}" if was != now else f"{now:g}"
        if row is None:
            whose = "as it was: too little is measured"
        elif several:
            whose = f"of the most cautious pair, {_pair_words((row[PAIR[0]], row[PAIR[1]]))}"
        else:
            whose = ""
        yield (name, change, whose)


def _error_table(errors: "Sequence[Prediction]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("predicted", no_wrap=True)
    for measure in ("brownout", "blackout", "start to end"):
        for column in (f"{measure}: median", "90 %", "slower"):
            table.add_column(column, justify="right", no_wrap=True)
    for row in errors:
        cells = [
            percent(value)
            for error in (row.brownout, row.blackout, row.duration)
            for value in (error.median, error.p90, error.slower)
        ]
        table.add_row(row.name, *(Text(plain(cell)) for cell in cells))
    return table


def caution_words(caution: float, before: "Policy", after: "Policy", errors: "Sequence[Prediction]") -> str:
    """Return what plans gain and lose by the caution with which figures were learnt."""
    was, now = (next(row.duration for row in errors if row.name == name) for name in ("as planned", "learnt"))
    median = f"from start to end the median error goes from {percent(was.median)} to {percent(now.median)}"
    slower = f"the share that is slower than predicted from {percent(was.slower)} to {percent(now.slower)}"
    before_s, after_s = (rules.migration.setup_s + rules.migration.forwarding_s for rules in (before, after))
    return plain(
        f"These figures are for plans that keep their times, at a caution of {caution:g}: {median}, {slower}. "
        f"Setup and forwarding take {after_s} s of each move in plans, before {before_s} s. A lower --caution gives "
        "shorter plans and more migrations that are late; with medians, which are there to compare, every second one "
        "would be."
    )


def _warnings(after: "Policy", errors: "Sequence[Prediction]") -> Iterator[Text]:
    rules = after.migration
    if rules.switchover_ms >= rules.blackout_limit_ms:
        fact = f"switchover_ms {rules.switchover_ms} is not below blackout_limit_ms {rules.blackout_limit_ms}"
        yield Text(f"{fact}: only VMs with a limit of their own can migrate; raise blackout_limit_ms", style="yellow")
    for row in errors:
        if row.impossible:
            fact = (
                f"{counted(row.impossible, 'migration')} could not keep the blackout limit, and are not in its errors"
            )
            yield Text(f"{row.name}: {fact}", style="yellow")
