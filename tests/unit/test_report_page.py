"""The page is one whole, safe document, for every kind of campaign, and its figures are the tables' figures."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import polars as pl
import pytest
from sample_campaign import SampleReport, sample_plan, sample_report, sample_snapshot

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import OutputError
from slacktide.executors.charts import TimeAxis, exposure_chart
from slacktide.executors.curves import StepCurve, exposure
from slacktide.executors.report_page import plan_page, render_report, write_report_page
from slacktide.planner.plan import Plan

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps what a reader and a browser see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += f" {data}"

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text.replace("\u202f", " "))


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def snapshot() -> FleetSnapshot:
    return sample_snapshot(60, vms_per_host=3)


@pytest.fixture(scope="module")
def plan(snapshot: FleetSnapshot) -> Plan:
    return sample_plan(snapshot)


@pytest.fixture(scope="module")
def report(plan: Plan) -> SampleReport:
    return sample_report(plan)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out, where a test reads the words alone: drawing takes seconds."""
    monkeypatch.setattr("slacktide.executors.report_plots.drawings", lambda *_args, **_options: ())


@pytest.fixture(scope="module")
def page(snapshot: FleetSnapshot, plan: Plan, report: SampleReport) -> str:
    return render_report(snapshot, plan, report)


def test_the_page_refers_to_nothing_outside(page: str) -> None:
    seen = outline(page)
    for tag, attributes in seen.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "base"}
        for name, value in attributes.items():
            assert name not in {"src", "srcset", "action"}
            assert not name.startswith("on")
            if name.endswith("href"):
                assert (value or "").startswith("#")
    assert not re.search(r"@import|url\((?!#)", page)
    assert not re.search(r'="https?://', page)


def test_ids_are_unique_and_every_reference_resolves(page: str) -> None:
    ids = [attributes["id"] for _, attributes in outline(page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_every_picture_has_a_name_and_each_width(page: str) -> None:
    pictures = [attributes for tag, attributes in outline(page).tags if tag == "svg"]
    assert len(pictures) == 6 * 2 + 2
    assert all(each["role"] == "img" and each["aria-label"] and each["viewbox"] for each in pictures)


def test_no_colour_of_a_picture_is_fixed_to_one_scheme(page: str) -> None:
    fixed = set(re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]{3,6}|black|white)"', page))
    assert fixed == set()


def test_the_figures_are_the_summarys(page: str, report: SampleReport) -> None:
    words = outline(page).words
    assert "Campaign c-2014-04-08" in words
    assert "Simulated" in words
    assert "56 of 60 due hosts patched in" in words
    assert "9 of 168 migrations failed" in words
    blackout = report.summary.blackout.probe_ms
    assert f"probe {blackout.p50:.0f} ms {blackout.p99:.0f} ms {blackout.max:.0f} ms" in words
    assert "target refused the connection" in words


def test_longest_blackouts_are_the_longest(page: str, report: SampleReport) -> None:
    seen_ms = pl.col("probe_blackout_ms") - pl.col("probe_resolution_ms")
    longest = report.migrations.with_columns(most=pl.max_horizontal("blackout_ms", seen_ms))
    expected = longest.sort("most", descending=True, nulls_last=True)["vm_id"].head(20).to_list()
    start = page.index("<h2>Longest blackouts of live migrations</h2>")
    section = page[start : page.index("<h2>", start + 1)]
    assert re.findall(r"<tr><td>(vm\d+)</td>", section) == expected


@pytest.mark.usefixtures("undrawn")
def test_a_plan_alone_claims_nothing_measured(snapshot: FleetSnapshot, plan: Plan) -> None:
    words = outline(plan_page(snapshot, plan)).words
    assert "Plan 0123456789abcdef" in words
    assert f"56 of 60 due hosts in {len(plan.waves)} waves" in words
    for absent in ("Simulated Nothing", "Failed migrations", "Prediction and measurement", "measured by"):
        assert absent not in words


def test_hostile_names_are_text(snapshot: FleetSnapshot, plan: Plan, report: SampleReport) -> None:
    evil = "<script>alert(1)</script>\"'&"
    hosts = snapshot.hosts["host_id"]
    rename = {str(host): f"{evil}{host}" for host in hosts}
    hostile = replace(
        snapshot,
        hosts=snapshot.hosts.with_columns(pl.col("host_id").replace(rename)),
        vms=snapshot.vms.with_columns(pl.col("host_id").replace(rename)),
        domains=snapshot.domains.with_columns(pl.col("host_id").replace(rename), domain_id=evil + pl.col("domain_id")),
        links=snapshot.links.with_columns(pl.col("tail", "head").replace(rename)),
    )
    sides = pl.col("source", "target").replace(rename)
    planned = replace(
        plan,
        hosts=plan.hosts.with_columns(pl.col("host_id").replace(rename)),
        migrations=plan.migrations.with_columns(sides),
        deferred=plan.deferred.with_columns(reason=pl.lit(evil), detail=pl.lit(evil), remedy=pl.lit(evil)),
    )
    happened = SampleReport(
        report.summary.model_copy(update={"campaign_id": evil}),
        report.hosts.with_columns(pl.col("host_id").replace(rename), state=pl.lit("failed"), reason=pl.lit(evil)),
        report.migrations.with_columns(sides, error=pl.lit(evil), vm_id=evil + pl.col("vm_id")),
    )
    page = render_report(hostile, planned, happened)
    seen = outline(page)
    assert "script" not in {tag for tag, _ in seen.tags}
    assert evil in seen.text
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)


@pytest.mark.usefixtures("undrawn")
def test_a_campaign_without_migrations(snapshot: FleetSnapshot) -> None:
    empty = replace(snapshot, vms=snapshot.vms.clear())
    plan = sample_plan(empty)
    words = outline(render_report(empty, plan, sample_report(plan))).words
    assert "No migration." in words
    assert "No migration crosses a link." in words
    assert "p50 p99 max predicted \u2013 \u2013 \u2013" in words


@pytest.mark.usefixtures("undrawn")
def test_a_plan_that_patches_nothing(snapshot: FleetSnapshot, plan: Plan) -> None:
    nothing = replace(plan, waves=plan.waves.clear(), hosts=plan.hosts.clear(), migrations=plan.migrations.clear())
    words = outline(plan_page(snapshot, nothing)).words
    assert "No wave." in words
    assert "Waves over time" not in words


@pytest.mark.usefixtures("undrawn")
def test_blackouts_that_nobody_measured_are_not_shown_as_zero(
    snapshot: FleetSnapshot, plan: Plan, report: SampleReport
) -> None:
    unknown = pl.lit(None, dtype=pl.Float64)
    silent = report.migrations.with_columns(blackout_ms=unknown, probe_blackout_ms=unknown)
    words = outline(render_report(snapshot, plan, SampleReport(report.summary, report.hosts, silent))).words
    assert "measured by the hypervisor" not in words
    assert "Prediction and measurement" not in words
    assert " 0 ms" not in words


@pytest.mark.usefixtures("undrawn")
def test_a_campaign_stopped_half_way(snapshot: FleetSnapshot, plan: Plan, report: SampleReport) -> None:
    cut = report.summary.end_s / 2
    hosts = report.hosts.with_columns(
        pl.when(pl.col(name) <= cut).then(name) for name in ("drain_start_s", "drained_s", "return_s")
    )
    summary = report.summary.model_copy(update={"finished": False, "end_s": cut, "hosts": {"returned": 20}})
    words = outline(render_report(snapshot, plan, SampleReport(summary, hosts, report.migrations))).words
    assert "Not finished" in words
    assert "20 of 60 due hosts patched" in words


def test_a_drawn_curve_holds_the_computed_values(plan: Plan) -> None:
    axis = TimeAxis(float(plan.header.summary.makespan_s))
    curve = exposure(plan.hosts["return_s"], due=60)
    chart = exposure_chart(axis, {"planned": curve}, StepCurve(curve.at_s, curve.value), 520)
    assert isinstance(chart, alt.LayerChart)
    drawn = next(iter(chart.to_dict()["datasets"].values()))
    assert [row["value"] for row in drawn] == curve.value.tolist()
    assert [row["time"] * axis.unit.seconds for row in drawn] == pytest.approx(curve.at_s.tolist())


def test_same_input_same_page(snapshot: FleetSnapshot, plan: Plan, report: SampleReport, page: str) -> None:
    assert render_report(snapshot, plan, report) == page


def test_the_page_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: FleetSnapshot, plan: Plan
) -> None:
    monkeypatch.setattr("slacktide.executors.report_page.render_report", lambda *_: "<p>new</p>")
    path = write_report_page(tmp_path, snapshot, plan, None)
    assert path.read_text() == "<p>new</p>"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="no space left on device"):
        write_report_page(tmp_path, snapshot, plan, None)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "<p>new</p>"
    with pytest.raises(OutputError):
        write_report_page(tmp_path / "absent", snapshot, plan, None)
