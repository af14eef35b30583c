"""What has been asked of a campaign and holds until something else is asked."""

import numpy as np

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.control_events import CampaignPaused
from slacktide.executors.order_state import Stopping, stopping


class StandingOrders:
    """Whether anything new may begin, which waves may, and whether what runs is to be stopped."""

    def __init__(self, state: CampaignState) -> None:
        self.pause_order = state.paused
        """What paused the campaign; null: it is not paused."""
        self.holding = False
        """Nothing new begins, patches excepted: the rest is being planned anew."""
        self.approved = set(np.flatnonzero(state.wave_approved).tolist())
        """Waves that a person has approved."""
        self.stopping: Stopping | None = None if state.finished else stopping(state.aborted or state.paused)
        """How what runs is to be stopped with the next decision; null: it is not."""
        self.waking = False
        """All that may have come due is looked at with the next decision: the campaign was quiet, or a person asked."""

    @property
    def paused(self) -> bool:
        """Whether nothing new begins until a person lets the campaign go on."""
        return self.pause_order is not None

    @property
    def quiet(self) -> bool:
        """Whether nothing new begins."""
        return self.paused or self.holding

    def pause(self, order: CampaignPaused) -> None:
        """Let nothing new begin until a person lets the campaign go on."""
        self.pause_order, self.stopping = order, stopping(order)

    def abort(self, how: Stopping | None) -> None:
        """End a pause, so that what is given up ends."""
        self.pause_order, self.stopping = None, how

    def resume(self) -> None:
        """End a pause."""
        self.pause_order, self.waking = None, True

    def approve(self, wave: int) -> None:
        """Let a wave open, and have the guests told of it whose notice is due."""
        self.approved.add(wave)
        self.waking = True

    def hold(self) -> None:
        """Let nothing new begin while the rest is planned anew."""
        self.holding = True

    def go_on(self) -> None:
        """End :meth:`hold`."""
        self.holding, self.waking = False, True
