"""From settings to the fabric that they are for; settings travel between processes, fabrics do not."""

from slacktide.executors.fabrics.protocol import Fabric
from slacktide.executors.fabrics.settings import BridgeFabricSettings, VxlanFabricSettings


def make_fabric(settings: BridgeFabricSettings | VxlanFabricSettings | None) -> Fabric | None:
    """Return the fabric; None: nothing is known of it, and nothing is told."""
    if settings is None:
        return None
    if isinstance(settings, VxlanFabricSettings):
        from slacktide.executors.fabrics.vxlan import VxlanFabric  # needs netlink

        return VxlanFabric(settings)
    from slacktide.executors.fabrics.bridge import BridgeFabric

    return BridgeFabric(settings)
