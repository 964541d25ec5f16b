"""Every number that decides whether a failure event fires, in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil


@dataclass(frozen=True)
class FailureThresholds:
    """Thresholds of the failure modes; the defaults are written next to every result.

    Attributes:
        carrier_iou: Frame IoU from which a query counts as *on* an object (as in CLEAR MOT, 0.5).
        owner_precision: Share of a query's pixels that must lie on one object for the object to own the query.
        background_precision: Below this share on every object a query is on background.
        family_iou: Mutual track IoU from which two queries are one family (hedged copies of each other).
        score_floor: Families scoring below this share of the video's best score take no part in events, unless
            officially matched.
        presence_share: A birth is late (a death early) from this share of the object's present frames on.
        presence_frames: ... but never for fewer frames than this.
        window: Frames in which causes and recoveries are looked for (annotated frames, not seconds).
        min_run: Frames a per-frame condition must hold in a row to be an event.
        merge_recall: Recall a query needs on each of two objects to merge them; split uses the same number.
        missed_share: An object hit in fewer of its frames than this is missed.
        rough_share: Share of an object's frames that one query must carry before its masks are judged.
        rough_iou: IoU over the object's frames below which a well linked object has a rough mask.
        rough_margin: Difference of mean precision and mean recall that tells overspill or part from boundary.
        match_iou: Track IoU from which a query follows an object, for the class and duplicate modes.
        shrink_share: An unlabelled object is occluded when its area falls below this share of its running median ...
        shrink_window: ... over this many frames to both sides ...
        shrink_cover: ... while another object's box covers this share of the area it lost.
        headline_tie: Events whose cost is this close (as a share) to an object's largest compete by mode, the more
            specific one winning: a hijack also loses the object, but the hijack is the cause.
    """

    carrier_iou: float = 0.5
    owner_precision: float = 0.5
    background_precision: float = 0.1
    family_iou: float = 0.9
    score_floor: float = 0.05
    presence_share: float = 0.1
    presence_frames: int = 2
    window: int = 10
    min_run: int = 2
    merge_recall: float = 0.5
    missed_share: float = 0.1
    rough_share: float = 0.9
    rough_iou: float = 0.75
    rough_margin: float = 0.1
    match_iou: float = 0.5
    shrink_share: float = 0.5
    shrink_window: int = 10
    shrink_cover: float = 0.3
    headline_tie: float = 0.1

    def presence_lag(self, frames_present: int) -> int:
        """Frames from which a late birth or an early death counts, for an object seen in ``frames_present`` frames."""
        return max(self.presence_frames, ceil(self.presence_share * frames_present))

    def to_dict(self) -> dict[str, float | int]:
        """All thresholds by name, ready for JSON."""
        return asdict(self)
