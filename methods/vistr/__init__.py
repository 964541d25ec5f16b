"""VisTR: video instance segmentation with transformers (Wang et al., CVPR 2021)."""
