"""One rank of a multi-process training run: ``python -m methods.runtime.train_cli --job FILE``, under torchrun."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from methods.runtime.jobs import TrainingJob
from methods.runtime.lifeline import end_with_parent
from methods.runtime.training import run_in_this_process
from mindthegap.errors import EXIT_USER_ERROR, MindTheGapError


def main() -> int:
    """Runs the job of a file that ``TrainingJob.save`` wrote."""
    end_with_parent()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=Path, required=True)
    try:
        run_in_this_process(TrainingJob.load(parser.parse_args().job))
    except MindTheGapError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
