"""Max-min fair rates of streams over links, worked out anew only as far as a change can reach."""

import numpy as np

from slacktide.planner.compiled import compiled, inlined
from slacktide.planner.streams.arrays import Course, Ints, Links, Lists, Moves, Shares

FULL = 1e-9
"""Part of a link's limit that counts as nothing left: thousands of roundings of a double."""


@inlined
def route_of(links: Links, moves: Moves, move: int) -> tuple[int, int]:
    """Return where the bundles of a move's route begin and end."""
    pair = links.access_class[moves.source[move]] * links.classes + links.access_class[moves.target[move]]
    return links.route_start[pair], links.route_start[pair + 1]


@inlined
def part_of(links: Links, moves: Moves, move: int, begin: int, leg: int) -> tuple[int, float]:
    """Return a node on a move's way and the part of the stream there: two before ``begin`` its source, then its target.

    ``begin`` is where the bundles of its route begin; those follow.
    """
    if leg == begin - 2:
        return moves.source[move], 1.0
    if leg == begin - 1:
        return links.hosts + moves.target[move], 1.0
    return 2 * links.hosts + links.route_bundle[leg], links.route_share[leg]


@compiled
def begin_sending(links: Links, moves: Moves, shares: Shares, streams: Ints, move: int) -> None:
    """Count a move among the streams, at rate 0 until rates are shared."""
    shares.place[move] = streams[0]
    shares.active[streams[0]] = move
    streams[0] += 1


@compiled
def end_sending(links: Links, moves: Moves, course: Course, shares: Shares, streams: Ints, move: int) -> bool:
    """Take a move from the streams, and its rate from the links; return whether a bundle on its way was full."""
    was_full = crosses_full(links, moves, shares, move)
    add_use(links, moves, shares, move, -course.rate[move])
    course.rate[move] = 0.0
    streams[0] -= 1
    last = shares.active[streams[0]]
    shares.active[shares.place[move]] = last
    shares.place[last] = shares.place[move]
    shares.place[move] = -1
    return was_full


@compiled
def add_use(links: Links, moves: Moves, shares: Shares, move: int, rate: float) -> None:
    """Add a rate to everything on a move's way."""
    begin, end = route_of(links, moves, move)
    for leg in range(begin - 2, end):
        node, share = part_of(links, moves, move, begin, leg)
        shares.use[node] += rate * share


@inlined
def is_full(links: Links, shares: Shares, node: int) -> bool:
    """Return whether a link carries all that it may."""
    return shares.use[node] >= links.limit_mbit_s[node] * (1 - FULL)


@compiled
def crosses_full(links: Links, moves: Moves, shares: Shares, move: int) -> bool:
    """Return whether a bundle on a move's way is full."""
    begin, end = route_of(links, moves, move)
    full = False
    for at in range(begin, end):
        full = full or is_full(links, shares, 2 * links.hosts + links.route_bundle[at])
    return full


@inlined
def visit(shares: Shares, node: int, queued: int) -> int:
    """Put a NIC that has not been seen into the queue; return the queue's length."""
    if shares.node_mark[node] != shares.stamp[0]:
        shares.node_mark[node] = shares.stamp[0]
        shares.nodes[queued] = node
        queued += 1
    return queued


@compiled
def reach(links: Links, moves: Moves, lists: Lists, shares: Shares, changed: Ints, count: int) -> int:
    """List the streams that share a NIC with a changed move, directly or through others; -1: a full bundle joins all.

    ``changed`` holds moves that begin sending or have ended it, the latter on no bundle that was full.
    """
    shares.stamp[0] += 1
    found, queued, taken = 0, 0, 0
    for at in range(count):
        if crosses_full(links, moves, shares, changed[at]):
            return -1
        queued = visit(shares, moves.source[changed[at]], queued)
        queued = visit(shares, links.hosts + moves.target[changed[at]], queued)
    while taken < queued:
        sends = shares.nodes[taken] < links.hosts
        host = shares.nodes[taken] if sends else shares.nodes[taken] - links.hosts
        starts = lists.source_start if sends else lists.target_start
        taken += 1
        for at in range(starts[host], starts[host + 1]):
            move = lists.source_moves[at] if sends else lists.target_moves[at]
            if shares.place[move] < 0 or shares.stream_mark[move] == shares.stamp[0]:
                continue
            if crosses_full(links, moves, shares, move):
                return -1
            shares.stream_mark[move] = shares.stamp[0]
            shares.streams[found] = move
            found += 1
            queued = visit(shares, links.hosts + moves.target[move] if sends else moves.source[move], queued)
    return found


@compiled
def fill(links: Links, moves: Moves, course: Course, shares: Shares, found: int) -> bool:
    """Share the links among the listed streams, the others' rates kept; return whether a bundle is now full.

    Progressive filling: all rates rise together, and those on a full link stop.
    """
    shares.stamp[0] += 1
    stamp, nodes = shares.stamp[0], 0
    for at in range(found):
        move = shares.streams[at]
        shares.rate[move] = -1.0
        begin, end = route_of(links, moves, move)
        for leg in range(begin - 2, end):
            node, share = part_of(links, moves, move, begin, leg)
            if shares.node_mark[node] != stamp:
                shares.node_mark[node] = stamp
                shares.nodes[nodes] = node
                nodes += 1
                shares.left[node] = links.limit_mbit_s[node] - shares.use[node]
                shares.weight[node] = 0.0
                shares.count[node] = 0
            shares.left[node] += course.rate[move] * share
            shares.weight[node] += share
            shares.count[node] += 1
    open_streams = found
    while open_streams > 0:
        level = _level(shares, nodes)
        open_streams = _stop(links, moves, shares, found, level * (1 + FULL), open_streams)
    for at in range(nodes):
        node = shares.nodes[at]
        if node >= 2 * links.hosts and shares.left[node] <= links.limit_mbit_s[node] * FULL:
            return True
    return False


@compiled
def _level(shares: Shares, nodes: int) -> float:
    """Return the rate at which the first link is full."""
    level = np.inf
    for at in range(nodes):
        node = shares.nodes[at]
        if shares.count[node] > 0:
            level = min(level, max(0.0, shares.left[node]) / shares.weight[node])
    return level


@compiled
def _stop(links: Links, moves: Moves, shares: Shares, found: int, level: float, open_streams: int) -> int:
    """Give ``level`` to the open streams on links that are full at it; return how many are still open."""
    stopped = 0
    for at in range(found):
        move = shares.streams[at]
        if shares.rate[move] >= 0.0:
            continue
        full = False
        begin, end = route_of(links, moves, move)
        for leg in range(begin - 2, end):
            node, _ = part_of(links, moves, move, begin, leg)
            full = full or shares.left[node] <= level * shares.weight[node]
        if full:
            shares.rate[move] = -2.0
            stopped += 1
    given = level / (1 + FULL)
    for at in range(found):
        move = shares.streams[at]
        if shares.rate[move] != -2.0:
            continue
        shares.rate[move] = given
        begin, end = route_of(links, moves, move)
        for leg in range(begin - 2, end):
            node, share = part_of(links, moves, move, begin, leg)
            shares.left[node] -= given * share
            shares.weight[node] -= share
            shares.count[node] -= 1
    return open_streams - stopped


@compiled
def all_active(shares: Shares, streams: Ints) -> int:
    """List every stream; return how many."""
    shares.streams[: streams[0]] = shares.active[: streams[0]]
    return streams[0]


@compiled
def share(
    links: Links,
    moves: Moves,
    lists: Lists,
    course: Course,
    shares: Shares,
    streams: Ints,
    changed: Ints,
    count: int,
    everywhere: bool,
) -> int:
    """Work out the rates that follow from changes; return how many streams ``shares.streams`` lists with new rates."""
    found = -1 if everywhere else reach(links, moves, lists, shares, changed, count)
    if found >= 0 and not fill(links, moves, course, shares, found):
        return found
    found = all_active(shares, streams)
    fill(links, moves, course, shares, found)
    return found
