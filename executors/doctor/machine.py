"""The machine that the doctor is on: Python, Slacktide's packages, the binding to libvirt."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from slacktide import __version__
from slacktide.executors.doctor.check import Check

INSTALL = "Install Slacktide anew from its wheel, or run `make set-up` in its tree"


def machine_checks() -> Iterator[Check]:
    """Yield what is known of Python and of the packages of this machine."""
    wanted, python = distribution("slacktide").metadata["Requires-Python"], platform.python_version()
    fact = f"Python {python} at {sys.executable}"
    if wanted and python not in SpecifierSet(wanted):
        yield Check("machine", "Python", "error", f"{fact}; {wanted} is wanted", "Use another Python, on all nodes")
    else:
        yield Check("machine", "Python", "ok", fact)
    wrong = list(_wrong_packages())
    if wrong:
        yield Check("machine", "packages", "error", f"Slacktide {__version__}: {'; '.join(wrong)}", INSTALL)
    else:
        yield Check("machine", "packages", "ok", f"Slacktide {__version__}, all that it requires is there")
    yield _binding()


def _wrong_packages() -> Iterator[str]:
    for text in distribution("slacktide").requires or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} is {found}, {wanted.specifier} is wanted"


def _binding() -> Check:
    try:
        import libvirt
    except ImportError:
        remedy = "For real hosts: install libvirt-dev, pkg-config and gcc, then libvirt-python; simulations need none"
        return Check("machine", "libvirt", "warning", "its Python binding is not installed", remedy)
    number = libvirt.getVersion()
    return Check("machine", "libvirt", "ok", f"client {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}")
