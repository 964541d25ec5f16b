"""Freed memory goes back to the system."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from methods.runtime import heap
from methods.runtime.heap import Heap, resident

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numpy as np
from methods.runtime.heap import Heap, resident

MIB = 2**20
np.ones(2 * MIB, np.uint8)  # freed at once: from now on blocks of this size come from the heap
watch = Heap(step=64 * MIB)
blocks = [np.ones(MIB, np.uint8) for _ in range(256)]
survivors = blocks[::8]
del blocks
before = resident()
assert watch.give_back()
assert before - resident() > 150 * MIB, (before, resident())
assert not watch.give_back()  # nothing has grown since
assert all(block.all() for block in survivors)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory in this way")
def test_freed_memory_between_blocks_that_live_on_is_given_back():
    """In a process of its own, whose heap has no room left by others."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_system_that_cannot_say_or_trim_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(heap, "_STATUS", tmp_path / "absent")
    assert resident() == 0
    assert not Heap(step=0).give_back()
    monkeypatch.undo()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not Heap(step=0).give_back()
