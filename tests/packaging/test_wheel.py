"""The wheel is the tree: every file of the packages, nothing else, and it imports where it is installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("datasets", "executors", "lab", "planner", "service", "topology")
SUFFIXES = (".py", ".c", ".h", ".css", ".html", ".js", ".json", ".ld", ".svg", ".typed")

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys, warnings
import slacktide
from importlib.metadata import distribution

target = sys.argv[1]
assert slacktide.__file__.startswith(target), slacktide.__file__
names = [module.name for module in pkgutil.walk_packages(slacktide.__path__, "slacktide.")]
for name in names:
    assert importlib.import_module(name).__file__.startswith(target), name
print(len(names))
"""


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked() -> list[Path]:
    """Return the files of the tree as they would be in a clone."""
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [Path(name) for name in listed if name and os.path.lexists(ROOT / name)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist and the wheel of a clean copy of the tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("the tree is no git checkout: what belongs to it is not known")
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy, cwd=copy)
    return copy / "dist"


@pytest.fixture(scope="module")
def expected() -> set[str]:
    """Return the names that the packages' files have in the wheel."""
    names = set()
    for path in tracked():
        if path.suffix in SUFFIXES and path.parts[0] in FOLDERS:
            names.add(f"slacktide/{path}")
        elif path.suffix in SUFFIXES and path.parts[:2] == ("src", "slacktide"):
            names.add(str(path.relative_to("src")))
    return names


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1
    return found[0]


def test_the_wheel_holds_the_packages_and_nothing_else(built, expected):
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"slacktide/py.typed", "slacktide/executors/report_page.css"} <= expected


def test_the_wheel_has_the_trees_content(built):
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        for name in ("service/cli.py", "executors/report_page.html"):
            assert wheel.read(f"slacktide/{name}") == (ROOT / name).read_bytes()
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
        assert "slacktide = slacktide.service.cli:main" in wheel.read(metadata).decode()


def test_the_sdist_holds_what_the_wheel_is_built_from(built, expected):
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/{name}" for name in expected} | {"pyproject.toml"} <= names


def test_the_installed_wheel_imports(built, tmp_path):
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    run(*pip, "--target", tmp_path / "site", only(built, "*.whl"), cwd=tmp_path)
    found = run(
        sys.executable,
        "-P",
        "-c",
        IMPORT_EVERYTHING,
        tmp_path / "site",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "site"),
    )
    assert int(found) > 100
    version = run(tmp_path / "site" / "bin" / "slacktide", "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert version.strip() in only(built, "*.whl").name
