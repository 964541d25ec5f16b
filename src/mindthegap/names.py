"""Names of the study's methods as papers write them, in the paper's order: online, then offline."""

from __future__ import annotations

METHOD_NAMES = {
    "masktrack_rcnn": "MaskTrack R-CNN",
    "crossvis": "CrossVIS",
    "iai": "IAI",
    "vistr": "VisTR",
    "ifc": "IFC",
    "seqformer": "SeqFormer",
    "ms_sts_vis": "MS-STS VIS",
}
