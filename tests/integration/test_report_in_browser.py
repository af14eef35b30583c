"""The page in a real browser: it fits a desk and a telephone, in light and dark, and shows every picture once."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_campaign import sample_plan, sample_report, sample_snapshot

from slacktide.executors.report_page import write_report_page

pytestmark = [pytest.mark.integration, pytest.mark.computing]

MEASURE = """<script>addEventListener('load', () => {
  const shown = [...document.querySelectorAll('.drawing')].filter(each => each.getClientRects().length);
  const fill = shown[0].querySelector('text');
  document.body.dataset.seen = JSON.stringify({
    width: innerWidth, over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    figures: document.querySelectorAll('figure').length,
    shown: shown.length, widest: Math.max(...shown.map(each => each.scrollWidth - each.clientWidth)),
    ink: getComputedStyle(fill).fill,
    card: getComputedStyle(document.querySelector('figure')).backgroundColor})})</script>"""
"""What a browser has laid out, written where ``--dump-dom`` shows it."""


@pytest.fixture(scope="module")
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium found: install the package chromium to look at the report in a browser")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    snapshot = sample_snapshot(60, vms_per_host=3)
    plan = sample_plan(snapshot)
    path = write_report_page(tmp_path_factory.mktemp("report"), snapshot, plan, sample_report(plan))
    framed = path.with_name("measured.html")
    framed.write_text(path.read_text().replace("</body>", f"{MEASURE}</body>"))
    return framed


def laid_out(browser: str, page: Path, folder: Path, width: int, scheme: int) -> dict[str, object]:
    """Return what the browser measured; a frame gives widths that a window may not have."""
    frame = folder / f"frame-{width}.html"
    frame.write_text(
        f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:900px"></iframe>'
        "<script>addEventListener('load', () => { document.body.textContent = "
        "document.querySelector('iframe').contentDocument.body.dataset.seen })</script>"
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}"]
    command += ["--window-size=1400,1000", "--dump-dom", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"\{.*\}", html.unescape(shown), flags=re.DOTALL)
    assert found, shown
    seen: dict[str, object] = json.loads(found[0])
    return seen


@pytest.mark.parametrize("width", [360, 390, 560, 768, 1120, 1280])
def test_the_page_never_scrolls_sideways(browser: str, page: Path, tmp_path: Path, width: int) -> None:
    seen = laid_out(browser, page, tmp_path, width, scheme=1)
    assert seen["width"] == width
    assert seen["over"] == 0
    assert seen["shown"] == seen["figures"] == 6
    assert seen["widest"] == 0


def test_pictures_follow_the_scheme(browser: str, page: Path, tmp_path: Path) -> None:
    dark, light = (laid_out(browser, page, tmp_path, 1280, scheme) for scheme in (0, 1))
    assert (light["card"], light["ink"]) == ("rgb(255, 255, 255)", "rgb(89, 97, 107)")
    assert (dark["card"], dark["ink"]) == ("rgb(28, 32, 37)", "rgb(163, 172, 182)")
