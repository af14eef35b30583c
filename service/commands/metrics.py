"""``slacktide metrics``: what Prometheus and Grafana see of campaigns."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from slacktide.service.commands.options import AsJson
from slacktide.service.console import document, tell
from slacktide.service.failures import OK

metrics = App(
    name="metrics", help="What Prometheus and Grafana see of campaigns on Ray.", help_epilogue="", sort_key=16
)


@metrics.command(name="list")
def show(*, as_json: AsJson = False) -> int:
    """Print the metrics, each by the name that Prometheus has for it, with its kind, labels and meaning."""
    from slacktide.executors.measuring.metrics import METRICS

    rows = [
        {"name": f"ray_{each.name}", "kind": each.kind.value, "labels": ["campaign", *each.labels], "help": each.help}
        for each in METRICS
    ]
    if as_json:
        document({"metrics": rows})
        return OK
    for row in rows:
        sys.stdout.write(f"{row['name']}{{{', '.join(row['labels'])}}}  {row['kind']}: {row['help']}\n")
    return OK


@metrics.command
def dashboard(folder: Annotated[Path, Parameter(name=["--output", "-o"])], *, as_json: AsJson = False) -> int:
    """Write Grafana's dashboard of campaigns to a folder, from which Grafana loads it.

    Where RAY_METRICS_GRAFANA_DASHBOARD_OUTPUT_DIR names that folder as Ray's head starts, Ray writes its own dashboards
    beside it and has Grafana load them all (docs/observability.md).

    Parameters
    ----------
    folder
        Made where absent.
    """
    from slacktide.executors.measuring.dashboard import write_dashboard

    path = write_dashboard(folder)
    if as_json:
        document({"path": str(path)})
    else:
        tell(f"{path}: Grafana's dashboard of campaigns")
    return OK
