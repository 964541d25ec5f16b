"""The failure modes, specific ones first: this order decides between events of equal cost."""

from mindthegap.failures.modes.base import Finding, Gap, Mode
from mindthegap.failures.modes.identity import CLASS_FLIP, DRIFT, HIJACK, SWITCH
from mindthegap.failures.modes.labels import BACKGROUND, CLASS_ERROR, DUPLICATE
from mindthegap.failures.modes.masks import MERGE, ROUGH, SPLIT
from mindthegap.failures.modes.presence import EARLY_DEATH, FRAGMENTATION, LATE_BIRTH, LOST, MISSED, OVERSTAY

MODES: tuple[Mode, ...] = (
    HIJACK,
    SWITCH,
    MERGE,
    DRIFT,
    SPLIT,
    MISSED,
    LOST,
    FRAGMENTATION,
    LATE_BIRTH,
    EARLY_DEATH,
    OVERSTAY,
    CLASS_FLIP,
    CLASS_ERROR,
    ROUGH,
    DUPLICATE,
    BACKGROUND,
)

OTHER = "other"
"""Mode name of what no event of an object explains."""

__all__ = ["MODES", "OTHER", "Finding", "Gap", "Mode"]
