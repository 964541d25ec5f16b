"""Synthetic video with exact ground truth."""
