"""What the diagnosis costs once the overlap tables are cached, beside the evaluation itself.

    python benchmarks/oracle.py [--official FOLDER] [--small]

On a set of the size of OVIS's validation set: levels of both oracles, 1000 resamples of the videos, and the gaps of all
strata with 1000 resamples each, all from cached tables; against our evaluation of the two files, and the official one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from crowded_sets import Size, write
from measuring import alone

from mindthegap.diagnosis import diagnose_tables
from mindthegap.evaluation import cached_overlaps

OVIS_SIZE = Size("OVIS validation set", 140, 70, 6, 50, 720, 1280, 25, longest=320)
SMALL = Size("small", 20, 60, 6, 30, 360, 640, 25)
SAMPLES = 1000


def diagnose_cached(gt: str, results: str, cache: str) -> dict[str, Any]:
    """For ``alone``: processor seconds of every part of a diagnosis from cached tables."""
    clock = [time.process_time()]

    def lap() -> float:
        clock.append(time.process_time())
        return clock[-1] - clock[-2]

    tables = cached_overlaps(gt, results, cache)
    found: dict[str, Any] = {"tables": lap()}
    diagnosis = diagnose_tables(tables, bootstrap=0)
    found["oracles"] = lap()
    found["rows per query"] = diagnosis.hedging().rows_per_query
    found["oracle of the best rows"] = lap()
    plain = diagnosis.strata()
    found["strata"] = lap()
    diagnosis = diagnose_tables(tables, bootstrap=SAMPLES)
    found["oracles with resamples"] = lap()
    diagnosis.strata()
    found["strata with resamples"] = lap()
    return found | {"components": diagnosis.solver["components"], "subsets": len(plain)}


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="folder of the official ytvos.py and ytvoseval.py")
    parser.add_argument("--small", action="store_true", help="20 short videos instead, to try it out")
    options = parser.parse_args()
    size = SMALL if options.small else OVIS_SIZE
    with tempfile.TemporaryDirectory() as name:
        gt, results, cache = Path(name) / "gt.json", Path(name) / "results.json", Path(name) / "cache"
        write(size, gt, results)
        files = str(gt), str(results)
        print(f"{size.name}: {(gt.stat().st_size + results.stat().st_size) / 1e6:.0f} MB", flush=True)
        report("our evaluation from files", alone("evaluation", "evaluate_alone", *files))
        cached_overlaps(*files, cache)
        report("diagnosis from cached tables", alone("oracle", "diagnose_cached", *files, str(cache)))
        if options.official:
            folder = str(options.official.resolve())
            report("official evaluation from files", alone("evaluation", "official_alone", folder, *files))


def report(name: str, found: dict[str, Any]) -> None:
    """Prints what a process of its own took."""
    parts = ", ".join(f"{key} {value:.2f}" for key, value in found.items() if key not in ("processor", "wall", "peak"))
    times = f"{found['processor']:.1f} ({found['wall']:.1f}) s, {found['peak']:.0f} MiB"
    print(f"{name}: {times}: {parts}", flush=True)


if __name__ == "__main__":
    main()
