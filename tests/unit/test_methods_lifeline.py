"""Orphans end, and a work folder has one owner."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from methods.runtime.lifeline import sole_owner
from mindthegap.errors import MindTheGapError

LOGGER = logging.getLogger("test")
PARENT = '''
import subprocess, sys, time
code = """import time
from methods.runtime.lifeline import end_with_parent
end_with_parent()
print("up", flush=True)
time.sleep(60)"""
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
'''


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal on a parent's death is Linux's")
def test_a_rank_ends_when_its_parent_is_killed_though_it_has_a_session_of_its_own():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    rank = int(parent.stdout.readline())
    assert alive(rank)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(rank) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(rank)


def test_a_work_folder_has_one_owner(tmp_path):
    work = tmp_path / "run" / "work"
    with (
        sole_owner(work, LOGGER),
        pytest.raises(MindTheGapError, match="another process is training there"),
        sole_owner(work, LOGGER, patience=0.3),
    ):
        pass
    with sole_owner(work, LOGGER, patience=0):
        assert not work.exists()
