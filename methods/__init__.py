"""Video instance segmentation methods on PyTorch and mmdet."""
