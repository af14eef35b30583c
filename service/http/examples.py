"""An example of every call that has a body, and of every answer that has one."""

from typing import Any, Final

FLEET, PLAN, CAMPAIGN, JOB = "6c6eeb428fcb937b", "0b7d5a2f9c1e4d38", "91c0f3ab5d7e2468", "a1b2c3d4e5f60718"
AT, BY = "2026-04-08T20:00:00.000Z", "token:90f7def5ce40 (night shift)"
_TERMS: Final[dict[str, Any]] = {
    "profile": None,
    "simulation": {
        "seed": 0,
        "failures_per_mille": 0.0,
        "retryable_share": 1.0,
        "lost_hosts_per_mille": 0.0,
        "overruns_per_mille": 0.0,
        "overrun_factor": 2.0,
        "answering_per_mille": 0.0,
        "created_vms_per_mille": 0.0,
        "deleted_vms_per_mille": 0.0,
        "moved_vms_per_mille": 0.0,
        "speed": None,
        "ask_for_approval": False,
    },
    "on_drift": None,
    "budgets": None,
    "agents": None,
    "ray": None,
}


def _job(kind: str, asked: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return a job that has just been asked for."""
    job = {"job_id": JOB, "kind": kind, "created_at": AT, "created_by": BY, "asked": asked, "state": "queued"}
    rest = ("begun_at", "ended_at", "fraction", "words", "eta_s", "result", "error")
    return {**job, "tries": 0, "cancel": False, **dict.fromkeys(rest), **changes}


_URGENT: Final = {"fleet_id": FLEET, "hosts": "due", "within_s": 14_400, "preset": "urgent", "start": "now"}
_FLEET: Final = {
    "fleet_id": FLEET,
    "created_at": AT,
    "created_by": BY,
    "summary": {"hosts": 10_000, "vms": 130_000, "memory_fill": 0.74},
    "findings": [],
}
_PLAN: Final = {
    "plan_id": PLAN,
    "fleet_id": FLEET,
    "created_at": AT,
    "created_by": BY,
    "header": {"id": PLAN, "seed": 0, "summary": {"hosts": 10_000, "waves": 14, "makespan_s": 11_520}},
}
_CAMPAIGN: Final[dict[str, Any]] = {
    "campaign_id": CAMPAIGN,
    "fleet_id": FLEET,
    "plan_id": PLAN,
    "created_at": AT,
    "created_by": BY,
    "terms": _TERMS,
    "state": "wanted",
    "holder": "node7:4711:f985a7074881",
    "finished": False,
    "origin": "2026-04-08T20:00:00Z",
    **{"standing": None, "waits_for_approval": None, "carried_out": None},
    **{"said": None, "tries": 0, "most_tries": 8},
}
_PROGRESS: Final[dict[str, Any]] = {
    "origin": "2026-04-08T20:00:00Z",
    "now_s": 1800.0,
    "planned_s": 11_520.0,
    "expected_end_s": 11_604.2,
    "behind_s": 84.2,
    "hosts": {"in_service": 7900, "draining": 900, "patching": 200, "returned": 1000},
    "migrations": {"planned": 110_000, "done": 19_400, "brownout": 600},
    "waves_opened": 3,
    "signals": {},
    "max_out": {},
    "revisions": [],
    "decision": None,
    "paused": None,
    "aborted": None,
}
_FAR: Final = {
    "now_s": 1800.0,
    "planned_s": 11_520,
    **{"hosts": 10_000, "hosts_returned": 1000, "hosts_out": 1100, "hosts_failed": 0, "hosts_evacuated": 0},
    **{"migrations": 130_000, "migrations_done": 19_400, "migrations_given_up": 0},
    **{"waves": 14, "waves_opened": 3, "waves_over": 1},
    "finished": False,
    "waits_for": None,
    "aborted": False,
    "failed_hosts": [["h0012", "patch-failed: 3 of 3 tries"]],
}
_LOOK: Final = {
    "document": {"campaign_id": CAMPAIGN, "plan_id": PLAN, "standing": "running", "now_s": 1800.0},
    "words": {"rows": [["stands", "running", ""]], "left": None, "orders": None, "waiting": None},
    "planned_hosts": 10_000,
    "deferred_hosts": 0,
}
_PAUSED: Final = {
    "type": "campaign-paused",
    "at_s": 1800.0,
    "order": 1,
    "by": BY,
    "why": "power feed B",
    "cancel": False,
}
_HOST: Final = {
    "host_id": "h0001",
    "rack_id": "r01",
    "machine_type": "n2",
    "vcpus": 64,
    "memory_mib": 262_144,
    "migration_mbit_s": 25_000,
    "patch_level": "old",
    "maintenance_s": 900,
    "state": "active",
}
_VM: Final = {
    "vm_id": "v000001",
    "host_id": "h0001",
    "service_id": None,
    "vcpus": 4,
    "memory_mib": 16_384,
    "used_mib": None,
    "dirty_mib_s": 12.5,
    "hot_mib": 64.0,
    "local_disk_mib": 0,
    "eviction": "live",
    "notice_s": 60,
    "blackout_limit_ms": 500,
    "machine_types": None,
}
_MOVE: Final[dict[str, Any]] = {
    "migration_id": "m000001",
    "vm_id": "v000001",
    "source": "h0001",
    "target": "h0420",
    "wave": 0,
    "strategy": "precopy",
    "bandwidth_mbit_s": 4000,
    "after": [],
}
_PLANNED: Final = _MOVE | {
    "notified_s": 0,
    "start_s": 60,
    "end_s": 101,
    "predicted_brownout_s": 38.2,
    "predicted_blackout_ms": 84.0,
    "predicted_transfer_mib": 17_900.0,
}
_MEASURED: Final = _MOVE | {
    "planned_notified_s": 0,
    "planned_start_s": 60,
    "planned_end_s": 101,
    "predicted_brownout_s": 38.2,
    "predicted_blackout_ms": 84.0,
    "predicted_transfer_mib": 17_900.0,
    "state": "done",
    "attempts": 1,
    "error": None,
    "failed_stage": None,
    "notified_s": 0.0,
    "told_s": 0.0,
    "promised_notice_s": 60.0,
    "notice_s": 60.0,
    "acknowledged_s": None,
    "notice_shortfall_s": None,
    "start_s": 60.0,
    "end_s": 99.4,
    "reserve_s": 0.3,
    "prepare_s": 0.7,
    "connect_s": 0.9,
    "brownout_s": 36.4,
    "blackout_ms": 91.0,
    "probe_blackout_ms": 100.0,
    "probe_resolution_ms": 10.0,
    "forwarding_s": 1.0,
    "fabric_s": 0.6,
    "forwarded_packets": 412,
    "lost_packets": 3,
    "fabric_finding": None,
    "delete_s": 0.1,
    "transfer_mib": 17_840.0,
}
_AGAINST_LIMIT: Final = {"counted_blackout_ms": 97.0, "blackout_limit_ms": 500.0, "above_limit": False}
_BLACKOUT: Final = {
    name: _MEASURED[name]
    for name in (
        *("migration_id", "vm_id", "source", "target", "wave", "strategy", "start_s", "end_s"),
        *("predicted_blackout_ms", "blackout_ms", "probe_blackout_ms", "probe_resolution_ms"),
    )
} | _AGAINST_LIMIT
_GUEST: Final = {
    "vm_id": "v000001",
    "maintenance_event": "MIGRATE_ON_HOST_MAINTENANCE",
    "upcoming_maintenance": {
        "kind": "MIGRATE_ON_HOST_MAINTENANCE",
        "window_start": "2026-04-08T20:01:00Z",
        "window_end": "2026-04-08T20:01:41Z",
        "notice_s": 60,
        "under_way": False,
        "acknowledged": False,
        "can_acknowledge": True,
    },
}
_TOKEN: Final = {
    "token_id": "90f7def5ce40",
    "name": "night shift",
    "role": "operator",
    "created_at": AT,
    "created_by": "root@node7",
    "expires_at": "2026-07-07T20:00:00.000Z",
    "revoked_at": None,
}
_CALL: Final = {
    "number": 17,
    "at": AT,
    "who": BY,
    "role": "operator",
    "address": "192.0.2.7",
    "action": "create-urgent-campaign",
    "method": "POST",
    "path": "/v1/campaigns/urgent",
    "idempotency_key": "0e9f7b1c-5a44-4d0e-9f43-7c1f1f2a3b4c",
    "request_id": "4f1c2a9b0d3e5f67",
    "status": 202,
    "outcome": None,
    **{"asked": None, "why": None, "granted": None, "made": "job a1b2c3d4e5f60718"},
}
_CHANGE: Final = {"host_id": "h0001", "wave": 0}


_CURVE: Final = {"at_s": [0.0, 60.0, 1140.0], "value": [0.0, 2.0, 0.0]}
_OUT: Final = {"kind": "fleet", "domain": "", "hosts": 10_000, "limit": 2000, "planned": _CURVE}
_SERIES: Final = {"count": 20_000, "share": [0.75, 0.25], "p50_ms": 41.0, "p99_ms": 214.0, "max_ms": 492.0}
_BLACKOUTS: Final = {
    "limit_ms": 500,
    "restarts": 126,
    "edges_ms": [1.0, 100.0, 600.0],
    "series": {"predicted": _SERIES},
}
_FLEET_MAP: Final[dict[str, Any]] = {
    "fleet_id": FLEET,
    "host_id": ["h0001", "h0002"],
    "laid_out_by": "row",
    **{"rows": ["row-1"], "row": [0, 0], "racks": ["r01", "r02"], "rack": [0, 1]},
    **{"types": ["n2"], "type": [0, 0], "levels": ["old"], "level": [0, 0]},
    **{"states": ["active", "empty", "down", "quarantined"], "state": [0, 1]},
    **{"vms": [13, 0], "memory_fill": [741, 0], "vcpu_fill": [656, 0]},
}
_PLAN_MAP: Final[dict[str, Any]] = {
    **{"plan_id": PLAN, "fleet_id": FLEET, "wave": [0, None], "drain_start_s": [60, None], "drained_s": [240, None]},
    **{"return_s": [1140, None], "reasons": ["pinned-vm"], "deferred": [None, 0]},
}
_LINK: Final = {
    **{"name": "leaf/r01 -> spine/0", "between_switches": True, "capacity_mbit_s": 100_000},
    **{"limit_mbit_s": 70_000.0, "mean_share": 0.04, "peak_share": 0.31, "planned": _CURVE},
}


def _page(*items: object) -> dict[str, Any]:
    return {"items": list(items), "next": None}


REQUESTS: Final[dict[str, Any]] = {
    "create-plan": {"fleet_id": FLEET, "preset": "urgent", "time_limit_s": 30},
    "ask-what-if": {"fleet_id": FLEET, "preset": "routine", "within_s": 14_400, "time_limit_s": 60},
    "ask-pareto": {"fleet_id": FLEET, "preset": "urgent", "points": 8, "time_limit_s": 60},
    "check-policy": {"policy": {"name": "urgent", "max_out": {"fleet": "20%"}}, "fleet_id": FLEET},
    "import-fleet": {"profile": "production", "migration_mbit_s": 9000},
    "calibrate": {"campaign_ids": [CAMPAIGN], "caution": 0.9},
    "compare-plan": {"constants": ["kubevirt", "4:200"]},
    "create-campaign": {"plan_id": PLAN, "start": "on-approval", "terms": {"simulation": {"seed": 7, "speed": 60}}},
    "create-urgent-campaign": _URGENT,
    "order-campaign": {"order": {"kind": "pause", "cancel": False}, "why": "power feed B"},
    "create-token": {"name": "night shift", "role": "operator", "days": 90},
}
ANSWERS: Final[dict[str, tuple[int, Any]]] = {
    "upload-fleet": (201, _FLEET),
    "check-fleet": (200, {"sound": True, "summary": {"hosts": 10_000}, "findings": []}),
    "list-fleets": (200, _page(_FLEET)),
    "get-fleet": (200, _FLEET),
    "list-fleet-hosts": (200, _page(_HOST)),
    "list-fleet-vms": (200, _page(_VM)),
    "list-jobs": (200, _page(_job("urgent", _URGENT, state="running", begun_at=AT, tries=1))),
    "get-job": (200, _job("urgent", _URGENT, state="running", begun_at=AT, tries=1, fraction=0.4, eta_s=6.0)),
    "cancel-job": (200, _job("urgent", _URGENT, state="running", begun_at=AT, tries=1, cancel=True)),
    "create-plan": (202, _job("plan", {"fleet_id": FLEET, "preset": "urgent"})),
    "ask-what-if": (202, _job("what-if", {"fleet_id": FLEET, "within_s": 14_400})),
    "audit-plan": (202, _job("audit", {"plan_id": PLAN})),
    "compare-plan": (202, _job("compare", {"plan_id": PLAN, "constants": ["kubevirt"]})),
    "explain-plan": (202, _job("explain", {"plan_id": PLAN})),
    "list-plans": (200, _page(_PLAN)),
    "get-plan": (200, _PLAN),
    "list-plan-waves": (
        200,
        [{"wave": 0, "gate": "start", "start_s": 0, "end_s": 1200, "hosts": 2, "migrations": 26}],
    ),
    "list-plan-hosts": (200, _page(_CHANGE | {"drain_start_s": 60, "drained_s": 240, "return_s": 1140})),
    "list-plan-deferred": (
        200,
        _page({"host_id": "h0099", "reason": "pinned", "detail": "VM v6 is pinned", "remedy": "Stop or unpin it"}),
    ),
    "list-plan-migrations": (200, _page(_PLANNED)),
    "create-campaign": (201, _CAMPAIGN),
    "create-urgent-campaign": (202, _job("urgent", _URGENT)),
    "list-campaigns": (200, _page(_CAMPAIGN)),
    "get-campaign": (200, _CAMPAIGN | {"standing": "running", "progress": _PROGRESS}),
    "start-campaign": (200, _CAMPAIGN),
    "take-over-campaign": (200, _CAMPAIGN),
    "order-campaign": (
        200,
        {"order": 1, "granted": True, "answer": _PAUSED, "carried_out_by": None, "trouble": None},
    ),
    "look-at-campaign": (200, _LOOK),
    "get-campaign-progress": (200, _FAR),
    "get-preset": (200, {"name": "urgent", "max_out": {"fleet": "20%"}}),
    "check-policy": (200, {"sound": True, "policy": {"name": "urgent"}, "findings": []}),
    "ask-pareto": (202, _job("pareto", {"fleet_id": FLEET, "points": 8})),
    "import-fleet": (202, _job("import", {"profile": "production", "migration_mbit_s": 9000})),
    "calibrate": (202, _job("calibrate", {"campaign_ids": [CAMPAIGN]})),
    "look-at-signals": (200, [{"name": "latency", "healthy": True, "detail": "12 ms, at most 50 ms"}]),
    "list-campaign-orders": (200, {"answered": [_PAUSED], "waiting": [], "newest": 1}),
    "get-campaign-report": (200, {"campaign_id": CAMPAIGN, "finished": True, "end_s": 11_604.2}),
    "list-campaign-events": (
        200,
        {"items": [{"number": 1, "event": {"type": "wave-opened", "at_s": 0.0, "wave": 0}}], "last": 1},
    ),
    "list-campaign-hosts": (
        200,
        _page(
            _CHANGE
            | {
                **{
                    "planned_drain_start_s": 60,
                    "planned_drained_s": 240,
                    "planned_return_s": 1140,
                    "state": "returned",
                },
                **{"reason": None, "drain_start_s": 60.0, "drained_s": 232.8, "return_s": 1127.1, "released_s": None},
                **{"gone_vms": None, "remaining_vms": None},
            }
        ),
    ),
    "list-campaign-migrations": (200, _page(_MEASURED)),
    "list-campaign-blackouts": (200, _page(_BLACKOUT)),
    "get-fleet-map": (200, _FLEET_MAP),
    "get-plan-map": (200, _PLAN_MAP),
    "get-campaign-map": (
        200,
        {
            **{"campaign_id": CAMPAIGN, "number": 4711, "now_s": 1800.0, "finished": False, "stages": "1-"},
            **{"skipped": [], "evacuated": []},
        },
    ),
    "get-plan-curves": (
        200,
        {
            **{"plan_id": PLAN, "horizon_s": 11_520.0, "due": 10_000, "out": [_OUT], "exposure": _CURVE},
            "waves": [{"wave": 0, "drain_from_s": 60, "drain_to_s": 240, "patch_from_s": 240, "patch_to_s": 1140}],
            **{"links": [_LINK], "blackouts": _BLACKOUTS},
        },
    ),
    "get-plan-exposure-bound": (200, {"plan_id": PLAN, "bound": _CURVE}),
    "get-campaign-curves": (
        200,
        {
            **{"campaign_id": CAMPAIGN, "now_s": 1800.0, "horizon_s": 11_520.0, "due": 10_000, "exposure": _CURVE},
            **{"out": [_OUT | {"measured": _CURVE}], "returned": _CURVE, "exposed_host_h": 4710.5},
            "makespan_s": 1740.0,
            "blackouts": _BLACKOUTS | {"above": 1, "longest_above_ms": 659.0, "longest_above_limit_ms": 500.0},
        },
    ),
    "get-campaign-vm": (
        200,
        {
            **{"vm_id": "v000001", "vm": _VM, "migrations": [_MEASURED | _AGAINST_LIMIT]},
            "events": [{"number": 9, "event": {"type": "migration-intended", "at_s": 60.0, "migration_id": "m000001"}}],
        },
    ),
    "list-campaign-waits": (
        200,
        _page({"subject": "h0007", "migration_id": None, "reason": "wave 3 bakes", "since_s": 1740.0}),
    ),
    "list-campaign-guests": (200, _page(_GUEST)),
    "get-campaign-guest": (200, _GUEST),
    "get-guest": (200, _GUEST),
    "get-me": (200, {"who": BY, "role": "operator", "version": "0.1.0", "profiles": ["production"]}),
    "list-tokens": (200, [_TOKEN]),
    "create-token": (201, _TOKEN | {"token": "slacktide_90f7def5ce40_..."}),
    "list-audit": (200, _page(_CALL)),
    "get-health": (200, {"ready": True}),
    "get-readiness": (200, {"ready": True}),
}

PARAMETERS: Final[dict[str, Any]] = {
    "limit": 100,
    "fleet_id": FLEET,
    "campaign_id": CAMPAIGN,
    "rack_id": "r07",
    "host_id": "h0012",
    "source": "h0012",
    "target": "h0044",
    "vm_id": "h0012-vm17",
    "service_id": "web-7",
    "machine_type": "m6",
    "patch_level": "6.1.0-31",
    "wave": 2,
    "after": 4711,
    "last-event-id": "4711",
    "type": "migration-failed",
    "at_least_ms": 100,
    "standing": True,
    "news": True,
    "who": BY,
    "action": "create-urgent-campaign",
}
"""Of parameters by their names; of those that are not here, the first value that they may have."""
PARAMETERS_OF: Final[dict[str, dict[str, Any]]] = {
    "list-jobs": {"about": FLEET, "kind": "urgent", "state": "running"},
    "list-campaign-events": {"about": ["hosts", "migrations"]},
    "stream-campaign-events": {"about": ["hosts", "migrations"]},
    "list-campaign-migrations": {"state": "failed"},
}
"""Where one operation means something else by a name."""
UPLOADED: Final = {
    "fleet": "fleet.json",
    **{name: f"{name}.parquet" for name in ("hosts", "vms", "services", "links", "domains")},
}
"""The files of an upload's parts."""
