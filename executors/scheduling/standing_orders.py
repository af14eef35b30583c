"""What has been asked of a campaign and holds until something else is asked."""

import numpy as np

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.order_state import Stopping, stopping


class StandingOrders:
    """Whether anything new may begin, which waves may, and whether what runs is to be stopped."""

    def __init__(self, state: CampaignState) -> None:
        self.paused = state.paused is not None
        self.holding = False
        """Nothing new begins, patches excepted: the rest is being planned anew."""
        self.approved = set(np.flatnonzero(state.wave_approved).tolist())
        """Waves that a person has approved."""
        self.stopping: Stopping | None = None if state.finished else stopping(state.aborted or state.paused)
        """How what runs is to be stopped with the next decision; null: it is not."""
        self.waking = False
        """All that may have come due is looked at with the next decision: the campaign was quiet, or a person asked."""

    @property
    def quiet(self) -> bool:
        """Whether nothing new begins."""
        return self.paused or self.holding

    def pause(self, how: Stopping | None) -> None:
        """Let nothing new begin until a person lets the campaign go on."""
        self.paused, self.stopping = True, how

    def abort(self, how: Stopping | None) -> None:
        """End a pause, so that what is given up ends."""
        self.paused, self.stopping = False, how

    def resume(self) -> None:
        """End a pause."""
        self.paused, self.waking = False, True

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
