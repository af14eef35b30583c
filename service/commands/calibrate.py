"""``slacktide calibrate``: the figures of the migration model, from campaigns on real hosts."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import RenderableType

from slacktide.errors import InputError, UsageError
from slacktide.service.commands.options import HERE, Afar, AsJson, Output
from slacktide.service.console import document, progress, show
from slacktide.service.destinations import check_file, refuse_to_replace
from slacktide.service.failures import OK
from slacktide.service.words import counted


def calibrate(
    *paths: Annotated[Path, Parameter(name="CAMPAIGN", help="Directory of a campaign on real hosts.", negative="")],
    output: Output,
    policy: Path | None = None,
    caution: Annotated[float, Parameter(validator=Number(gte=0.5, lt=1))] = 0.9,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Learn the migration model's figures from campaigns on real hosts, and write a policy with them.

    By pair of machine types: setup, goodput, switchover and forwarding, on the safe side of what was measured. Below
    stands how far predictions were off, and would have been with the learnt figures. Simulated campaigns are refused.

    Parameters
    ----------
    output
        Policy to write: YAML or JSON, a file that is there is replaced.
    policy
        Policy whose figures are replaced; all else stays. [default: that of the campaign that began last]
    caution
        Share of the migrations that were not slower than a learnt figure says. More makes fewer late, and plans longer,
        with a larger median error; medians alone (0.5) would have every second migration late.
    """
    from slacktide.planner.policy_files import check_suffix, read_policy, write_policy

    check_suffix(output)
    check_file(output)
    if not paths:
        raise UsageError("CAMPAIGN", "there is none", "Give the directory of a campaign on real hosts, or of several")
    if policy is not None:
        refuse_to_replace(output, policy)
    if afar.named:
        from slacktide.service.afar.calibrations import calibrated_there

        learnt_there = calibrated_there(afar, paths, None if policy is None else read_policy(policy), caution)
        write_policy(learnt_there.policy, output)
        return _shown(learnt_there.document, learnt_there.text, output, as_json=as_json)
    with progress("Learning from campaigns"):
        from slacktide.planner.calibration import FEWEST, calibrated, learn, observe
        from slacktide.planner.prediction_errors import prediction_errors
        from slacktide.service.measured_campaigns import read_measured

        campaigns, of_last = read_measured(paths)
        before = of_last if policy is None else read_policy(policy)
        observations = observe(campaigns)
        learnt = learn(observations, caution)
        if learnt.nothing:
            fact = f"{counted(observations.table.height, 'live migration')} measured, at least {FEWEST} are needed"
            raise InputError(", ".join(map(str, paths)), fact, "Give more campaigns on such hosts")
        after = calibrated(before, learnt)
        errors = list(prediction_errors(observations, learnt, before))
    write_policy(after, output)
    from slacktide.service.calibrate_text import calibration_document, calibration_text

    parts = (observations, learnt, before, after, errors)
    return _shown(calibration_document(*parts), calibration_text(*parts), output, as_json=as_json)


def _shown(data: dict[str, Any], text: RenderableType, output: Path, *, as_json: bool) -> int:
    if as_json:
        document(data)
    else:
        show(text)
        show(f"written to {output}")
    return OK
