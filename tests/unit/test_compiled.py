"""That something is compiled is told once, as soon as it begins."""

import numba

from slacktide.planner.compiled import on_first_compile


def test_the_first_compilation_is_told_once():
    told = []
    on_first_compile(lambda: told.append("compiling"))
    kept = numba.njit(lambda number: number + 1)
    assert told == []
    assert kept(1) == 2
    assert told == ["compiling"]
    assert kept(1.5) == 2.5
    assert told == ["compiling"]
