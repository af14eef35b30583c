"""Until when guests' notice periods hold their migrations up.

A period begins when the guest has been told, which its host reports; until that is heard it is counted from the
decision to tell it.  It ends after the planned notice, or once the guest says that it is ready.  A migration never
begins before its planned start: that order is what was audited.  So a guest that is ready early shortens a wait that is
late, and nothing else.
"""

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.events import Stage
from slacktide.executors.program import Program


def ready_s(program: Program, state: CampaignState) -> NDArray[np.float64]:
    """Return from when on each migration may begin, as far as its guest's notice goes, shape (M,).

    Infinite: its guest is to have notice and is not to be told yet.
    """
    part = program.migrations
    told_s = np.fmax(state.times[:, Stage.NOTIFIED], state.times[:, Stage.WAITING])
    over_s = told_s + (part.start_s - part.notified_s)
    over_s = np.fmin(over_s, np.where(np.isnan(over_s), np.nan, state.acknowledged_s))
    return np.where(np.isnan(over_s), np.inf, np.maximum(part.start_s, over_s))
