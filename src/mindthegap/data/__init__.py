"""Datasets: preparation of real folders, splits, contact sheets."""
