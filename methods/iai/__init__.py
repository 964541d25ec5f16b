"""IAI, Instance As Identity (Zhu et al., ECCV 2022), on CondInst and on Mask R-CNN."""
