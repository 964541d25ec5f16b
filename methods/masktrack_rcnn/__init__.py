"""MaskTrack R-CNN (Yang, Fan and Xu, ICCV 2019)."""
