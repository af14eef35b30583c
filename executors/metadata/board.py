"""The notices of all VMs that an agent has to do with; written by its driver's threads, read by its server's."""

import threading
from collections.abc import Callable

from slacktide.executors.metadata.notice import Announcement, MaintenanceNotice
from slacktide.ids import MigrationId, VmId

_NOTHING = MaintenanceNotice()


class NoticeBoard:
    """Notices by VM."""

    def __init__(self, acknowledged: Callable[[MigrationId], None]) -> None:
        """``acknowledged`` is called when a guest says that it is ready, once for each migration."""
        self._acknowledged = acknowledged
        self._lock = threading.Lock()
        self._notices: dict[VmId, MaintenanceNotice] = {}
        self._listeners: list[Callable[[VmId], None]] = []

    def notice(self, vm: VmId) -> MaintenanceNotice:
        """Return what a VM is told."""
        return self._notices.get(vm, _NOTHING)

    def listen(self, changed: Callable[[VmId], None]) -> None:
        """Have ``changed`` called, from whatever thread it is, when a VM is told something else."""
        self._listeners.append(changed)

    def announce(self, vm: VmId, announcement: Announcement) -> None:
        """Tell a VM of a migration to come."""
        self._change(vm, lambda notice: notice.announce(announcement))

    def begin(self, vm: VmId, announcement: Announcement) -> None:
        """Tell a VM that a migration is under way."""
        self._change(vm, lambda notice: notice.begin(announcement))

    def end(self, vm: VmId, migration: MigrationId) -> None:
        """Tell a VM that a migration is over, or will not be."""
        self._change(vm, lambda notice: notice.end(migration))

    def acknowledge(self, vm: VmId) -> bool:
        """Take a VM's word that it is ready; return whether there was something to be ready for."""
        before, after = self._change(vm, MaintenanceNotice.acknowledge)
        if before == after:
            return False
        self._acknowledged(after.coming[0].migration_id)
        return True

    def _change(
        self, vm: VmId, change: Callable[[MaintenanceNotice], MaintenanceNotice]
    ) -> tuple[MaintenanceNotice, MaintenanceNotice]:
        with self._lock:
            before = self.notice(vm)
            after = change(before)
            if after == _NOTHING:
                self._notices.pop(vm, None)
            else:
                self._notices[vm] = after
        if before != after:
            for changed in self._listeners:
                changed(vm)
        return before, after
