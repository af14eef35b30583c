"""Arrays lent to compiled code without being counted.

Every call between compiled functions counts the users of every array that it hands on, which took half of the time of
a pass.  Arrays lent here are not counted; whoever lends them keeps them alive until the pass is over.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from slacktide.planner.compiled import internal
from slacktide.planner.listing.arrays import Begun, Instance, Moves, Promises, State

Array = TypeVar("Array", NDArray[np.int64], NDArray[np.float64])
Writer = Callable[[BaseContext, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value]


def _lent(_context: BaseContext, array: types.Array) -> tuple[Signature, Writer]:
    """Return how to write a view of an array without the counter of its users."""

    def write(
        context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        view = make_array(array)(context, builder, value=arguments[0])  # type: ignore[no-untyped-call]
        view.meminfo = cgutils.get_null_value(view.meminfo.type)  # type: ignore[no-untyped-call]
        view.parent = cgutils.get_null_value(view.parent.type)  # type: ignore[no-untyped-call]
        return view._getvalue()

    return array(array), write


lent = cast("Callable[[Array], Array]", intrinsic(_lent))
"""Return a view of an array that does not keep it alive."""


@internal
def lent_instance(instance: Instance) -> Instance:
    """Return the instance with all arrays lent."""
    return Instance(
        lent(instance.capacity),
        lent(instance.type_number),
        lent(instance.maintenance_s),
        lent(instance.rack),
        lent(instance.rack_start),
        lent(instance.rack_hosts),
        lent(instance.out_groups),
        lent(instance.out_limit),
        lent(instance.reserve_groups),
        lent(instance.reserve),
        lent(instance.reserve_of_all),
        lent(instance.demand),
        lent(instance.vm_types),
        instance.one_way,
        lent(instance.notice_s),
        lent(instance.service),
        lent(instance.service_start),
        lent(instance.service_vms),
        lent(instance.spread_kind),
        lent(instance.spread_limit),
        lent(instance.max_moving),
        lent(instance.spread_domain),
        lent(instance.rates_mbit_s),
        lent(instance.duration_s),
        lent(instance.egress_mbit_s),
        lent(instance.ingress_mbit_s),
        lent(instance.access_class),
        instance.classes,
        lent(instance.path_mbit_s),
        lent(instance.route_start),
        lent(instance.route_bundle),
        lent(instance.route_share),
        lent(instance.bundle_limit),
        instance.bucket_s,
        instance.pivot,
        instance.bucket_size,
        instance.level_size,
        instance.from_s,
        lent(instance.spared),
        instance.slot_s,
        lent(instance.evacuated),
    )


@internal
def lent_state(state: State) -> State:
    """Return the state with all arrays lent."""
    return State(
        lent(state.status),
        lent(state.patched),
        lent(state.free),
        lent(state.held),
        lent(state.out_count),
        lent(state.reserve_free),
        lent(state.later),
        lent(state.coming),
        lent(state.least),
        lent(state.stale),
        lent(state.vm_host),
        lent(state.vm_source),
        lent(state.vm_start),
        lent(state.vm_end),
        lent(state.host_vm),
        lent(state.next_vm),
        lent(state.inbound),
        lent(state.interval),
        lent(state.bundle_use),
        lent(state.size_head),
        lent(state.size_levels),
        lent(state.size_next),
        lent(state.size_prev),
        lent(state.size_bucket),
        lent(state.size_level),
        lent(state.failures),
        lent(state.retry),
        lent(state.counters),
    )


@internal
def lent_moves(moves: Moves) -> Moves:
    """Return moves with all arrays lent."""
    return Moves(
        lent(moves.vm),
        lent(moves.target),
        lent(moves.start_s),
        lent(moves.end_s),
        lent(moves.rate),
        lent(moves.old_start_s),
        lent(moves.old_end_s),
        lent(moves.old_source),
    )


@internal
def lent_promises(promises: Promises) -> Promises:
    """Return promises with all arrays lent."""
    return Promises(
        lent(promises.host),
        lent(promises.wave),
        lent(promises.due_s),
        lent(promises.drained_s),
        lent(promises.return_s),
        lent(promises.first),
        lent(promises.vm),
        lent(promises.target),
        lent(promises.start_s),
        lent(promises.end_s),
        lent(promises.rate),
        lent(promises.told_s),
        lent(promises.settled),
        lent(promises.of_host),
        lent(promises.load),
        promises.step_s,
        promises.behind_s,
        lent(promises.load_limit),
        lent(promises.load_group),
        lent(promises.load_weight),
        lent(promises.progress),
        lent(promises.late),
        lent(promises.tried_s),
    )


@internal
def lent_begun(begun: Begun) -> Begun:
    """Return what has begun with all arrays lent."""
    return Begun(
        lent(begun.host),
        lent(begun.wave),
        lent(begun.drain_start_s),
        lent(begun.first),
        lent(begun.vm),
        lent(begun.target),
        lent(begun.start_s),
        lent(begun.end_s),
        lent(begun.rate),
        lent(begun.of_host),
        lent(begun.return_host),
        lent(begun.return_s),
        lent(begun.gate),
    )
