"""Tensors from a formula: weights and inputs of parity tests that need not be stored and are the same everywhere."""

import zlib

import numpy as np


def uniform(name, shape, low=-1.0, high=1.0):
    """Float32 values in [low, high) that depend on the name and the position only."""
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    wave = np.sin((index + 1) * 12.9898 + zlib.crc32(name.encode()) % 10007) * 43758.5453
    return (low + (wave - np.floor(wave)) * (high - low)).astype(np.float32).reshape(shape)


def weight(name, shape):
    """A parameter: norms near 1, biases near 0, matrices with a variance that keeps signals in range."""
    if name.endswith("running_var"):
        return uniform(name, shape, 0.5, 1.5)
    if len(shape) < 2:
        is_scale = name.endswith("weight")
        return uniform(name, shape, -0.2, 0.2) + np.float32(is_scale)
    fan_in = int(np.prod(shape[1:]))
    return uniform(name, shape) * np.float32((3.0 / fan_in) ** 0.5)


def weights(shapes):
    """A state dict in NumPy from {name: shape}."""
    return {name: weight(name, tuple(shape)) for name, shape in shapes.items()}
