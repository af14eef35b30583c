"""How far predictions of migrations were off, and would be with other figures: pure.

The error is that of the prediction, ``|predicted - measured| / measured``.  Beside it stands how many migrations were
slower than predicted: those make plans late, while the others only leave links free.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from slacktide.planner.calibration import Calibration, Observations, calibrated, copied, learn, typical
from slacktide.planner.policy import MigrationRules, Policy
from slacktide.planner.precopy import CEIL_TOLERANCE, Floats

MEASURES: Final = ("brownout", "blackout", "duration")


@dataclass(frozen=True, slots=True)
class PredictionError:
    """Over the migrations of which both is known."""

    migrations: int
    median: float | None
    """Null: there is none."""
    p90: float | None
    slower: float | None
    """Share of the migrations that took longer than predicted."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """How good predictions with one set of figures are."""

    name: str
    brownout: PredictionError
    blackout: PredictionError
    duration: PredictionError
    """From start to end, whole seconds in plans: setup and forwarding are in it."""
    impossible: int = 0
    """Migrations for which no strategy keeps the blackout limit with these figures; the errors are without them."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Predicted:
    brownout_s: Floats
    blackout_ms: Floats
    duration_s: Floats


def prediction_errors(observations: Observations, calibration: Calibration, policy: Policy) -> Iterator[Prediction]:
    """Yield the errors as planned, and those of the same migrations with what was learnt.

    Of several campaigns, each is also predicted by what the others teach: what a calibration is worth for a campaign
    that it has not seen.  Then with medians, which no policy should hold: how good the model is without the caution.
    Last, with the memory that was sent in place of the guests' whole memory: what knowing it would bring.

    Parameters
    ----------
    policy
        As it was before the calibration: what was not learnt stays as it is there.
    """
    table, rules = observations.table, calibrated(policy, calibration).migration
    planned = _Predicted(
        table["predicted_brownout_s"].to_numpy(),
        table["predicted_blackout_ms"].to_numpy(),
        (table["planned_end_s"] - table["planned_start_s"]).cast(pl.Float64).to_numpy(),
    )
    yield _compared("as planned", table, planned)
    yield _compared("learnt", table, _with_rules(observations, rules))
    if len(observations.policies) > 1:
        yield _compared("learnt from the other campaigns", table, _left_out(observations, policy, calibration.caution))
    yield _compared("medians of each pair", table, _with_medians(observations, calibration, rules))
    known = _with_rules(observations, rules, calibration.values["sent_mib"].to_numpy())
    yield _compared("learnt, memory in use known", table, known)


def _with_rules(observations: Observations, rules: MigrationRules, memory_mib: Floats | None = None) -> _Predicted:
    """Return what the model predicts with the same figures for all."""
    rows = observations.table.height
    goodput, switchover_ms = np.full(rows, rules.goodput), np.full(rows, float(rules.switchover_ms))
    copies = copied(observations, goodput, switchover_ms, memory_mib)
    return _predicted(copies.brownout_s, copies.sending_ms + switchover_ms, rules.setup_s, rules.forwarding_s)


def _left_out(observations: Observations, policy: Policy, caution: float) -> _Predicted:
    """Return for each campaign what the others, without it, would have had it planned with."""
    campaign = observations.table["campaign"].to_numpy()
    whole = np.full((3, len(campaign)), np.nan)
    for number in range(len(observations.policies)):
        others = learn(observations.only(pl.col("campaign") != number), caution)
        own = observations.only(pl.col("campaign") == number)
        found = _with_rules(own, calibrated(policy, others).migration)
        whole[:, campaign == number] = found.brownout_s, found.blackout_ms, found.duration_s
    return _Predicted(*whole)


def _with_medians(observations: Observations, calibration: Calibration, rules: MigrationRules) -> _Predicted:
    """Return what the model predicts with the medians of each pair of machine types."""

    def medians(figure: str, unlearnt: float) -> Floats:
        found: Floats = calibration.values.select(typical(figure).fill_null(unlearnt)).to_series().to_numpy()
        return found

    switchover_ms = medians("switchover_ms", rules.switchover_ms)
    goodput = np.minimum(1.0, medians("goodput", rules.goodput))
    copies = copied(observations, goodput, switchover_ms)
    setup_s, forwarding_s = medians("setup_s", rules.setup_s), medians("forwarding_s", rules.forwarding_s)
    return _predicted(copies.brownout_s, copies.sending_ms + switchover_ms, setup_s, forwarding_s)


def _predicted(
    brownout_s: Floats, blackout_ms: Floats, setup_s: Floats | int, forwarding_s: Floats | int
) -> _Predicted:
    total_s = setup_s + brownout_s + blackout_ms / 1000 + forwarding_s
    return _Predicted(brownout_s, blackout_ms, np.ceil(total_s - CEIL_TOLERANCE))


def _compared(name: str, table: pl.DataFrame, predicted: _Predicted) -> Prediction:
    measured_s = table["end_s"] - table["start_s"]
    return Prediction(
        name,
        _error(predicted.brownout_s, table["brownout_s"]),
        _error(predicted.blackout_ms, table["blackout_ms"]),
        _error(predicted.duration_s, measured_s),
        int(np.isnan(predicted.brownout_s).sum()),
    )


def _error(predicted: Floats, measured: pl.Series) -> PredictionError:
    values = measured.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.isfinite(predicted) & (values > 0)
    if not known.any():
        return PredictionError(0, None, None, None)
    said, was = predicted[known], values[known]
    off = np.abs(said - was) / was
    median, p90 = (float(np.quantile(off, share)) for share in (0.5, 0.9))
    return PredictionError(len(off), median, p90, float((was > said).mean()))
