"""Figures that generated and imported fleets are built from, each with its source.

Where there is none, the words are "chosen, not measured".
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class VmSize:
    """One size that is sold, and its share of the VMs alive."""

    vcpus: int
    memory_mib: int
    share: float


@dataclass(frozen=True, slots=True)
class MachineType:
    """One generation of hosts, and its share of the racks."""

    name: str
    vcpus: int
    memory_mib: int
    migration_mbit_s: int
    maintenance_s: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class DirtyProfile:
    """How a kind of guest writes its memory: ranges of hot set and of dirty rate outside it, drawn log-uniformly."""

    name: str
    share: float
    hot_mib: tuple[float, float]
    dirty_mib_s: tuple[float, float]


HUAWEI_EAST_1_SIZES: Final = (
    VmSize(1, 1_024, 0.276849),
    VmSize(1, 2_048, 0.410243),
    VmSize(1, 4_096, 0.004758),
    VmSize(2, 4_096, 0.110301),
    VmSize(2, 8_192, 0.042125),
    VmSize(4, 8_192, 0.097223),
    VmSize(4, 16_384, 0.010497),
    VmSize(8, 16_384, 0.017389),
    VmSize(8, 32_768, 0.004195),
    VmSize(12, 24_576, 0.000111),
    VmSize(16, 32_768, 0.011096),
    VmSize(24, 49_152, 0.001214),
    VmSize(32, 65_536, 0.007579),
    VmSize(48, 98_304, 0.000262),
    VmSize(64, 131_072, 0.006158),
)
"""Sizes of the VMs alive in the Huawei-East-1 trace: mean 2.46 vCPU and 4.97 GiB.

The share of a size is the sum of the lifetimes of its requests over the sum of all lifetimes, that is, its share of
the VMs alive at a random moment, over 116,313 requests.  The copy of the trace lacks VMs that were never deleted,
which biases it to short lives.  Source: Huawei-East-1 trace of VM requests, CC BY-NC 4.0; tests recompute this table
from the trace where that is present.
"""

MACHINE_TYPES: Final = (
    MachineType("gen-1", 28, 48 * 1024, 10_000, 2_400, 0.50),
    MachineType("gen-2", 36, 64 * 1024, 10_000, 1_800, 0.40),
    MachineType("gen-3", 56, 96 * 1024, 25_000, 1_500, 0.10),
)
"""Generations of generated hosts.

Chosen, not measured, so that about 13 VMs of the trace's sizes fill 75 % of a host's memory.

The trace's VMs are small (half have 2 GiB or less), so hosts with 13 of them are smaller than the 96-core machines of
Alibaba 2018 (:data:`ALIBABA_2018`), which hold about 30.  vCPUs are sold so that memory binds: 75 % of the memory goes
with about 65 % of the vCPUs.  A patch with reboot takes 25 to 40 minutes; memory tests make older machines slower.
"""

ALIBABA_2018: Final = MachineType("alibaba-2018", 96, 176 * 1024, 10_000, 1_800)
"""The machines of the Alibaba cluster trace 2018: 96 cores each.

The trace normalises memory, and has neither NICs nor maintenance times.  Chosen, not measured: 176 GiB sold (192 GiB
installed, 16 GiB kept for the hypervisor), so that 75 % of the memory goes with about 68 % of the vCPUs at the trace's
2 GiB per vCPU; 10 Gbit/s of migration traffic; 30 minutes for a patch with reboot.
"""

DIRTY_PROFILES: Final = (
    DirtyProfile("idle", 0.55, (2.0, 16.0), (0.05, 1.0)),
    DirtyProfile("web", 0.30, (8.0, 48.0), (0.5, 8.0)),
    DirtyProfile("batch", 0.12, (64.0, 96.0), (1.0, 4.0)),
    DirtyProfile("database", 0.03, (64.0, 192.0), (8.0, 64.0)),
)
"""How guests write their memory.

``batch`` surrounds the one profile with a published measurement behind it that we know by number: a hot set of 96 MB
and 2 MB/s outside it, in 1,000 KVM migrations on Grid'5000 (V. Kherbache, thesis, 2016).  The others are chosen, not
measured, around two facts.  Clark et al. (NSDI 2005) migrated a busy web server with 210 ms and a game server with
60 ms of interruption at under 1 Gbit/s, so hot sets of busy guests are a few to some tens of MiB.  Google reports
blackouts of 50 ms in the median and 300 ms at the 99th percentile over a million migrations a month (Ruprecht et al.,
VEE 2018), so guests that do not converge are rare.  The shares are chosen, not measured.
"""
