"""Faults before and after the switch of a post-copy that take no memory away: undone before it, carried on after it."""

import time

import pytest
from lab_tests import ON_A_LAB
from live_migrations import (
    LIBVIRTD,
    ON_SOURCE,
    ON_TARGET,
    TwoHosts,
)

from slacktide.executors.events import MigrationDone, MigrationFailed

pytestmark = ON_A_LAB


def test_a_source_whose_libvirtd_ends_while_its_target_prepares_is_asked_again(two: TwoHosts) -> None:
    moving = two.preparing()
    two.kill(two.source, LIBVIRTD)
    time.sleep(0.5)
    moving.fault()
    two.start_libvirtd(two.source)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert ended.error.endswith("; it runs on h1")
    assert two.settles(ON_SOURCE) == ON_SOURCE


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_libvirtd_that_ends_after_the_switch_takes_nothing_with_it(two: TwoHosts, which: str) -> None:
    moving = two.switched()
    host = getattr(two, which)
    two.kill(host, LIBVIRTD)
    time.sleep(0.5)
    moving.fault()
    two.start_libvirtd(host)
    ended = moving.outcome(60.0)
    assert isinstance(ended, MigrationDone), ended
    assert two.found() == ON_TARGET


def test_libvirtds_that_lose_each_other_after_the_switch_let_the_memory_follow(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    two.cut("guests")
    ended = moving.outcome(60.0)
    assert isinstance(ended, MigrationDone), ended
    assert two.found() == ON_TARGET._replace(beats=False), "nobody hears it while its own link is cut"
