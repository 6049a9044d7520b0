"""One contestant in a process of its own: `python -m benchmarks.contestant NAME CASE FILE STARTED`.

It trains one step and says so, then obeys the lines of its standard input: `steps N` trains and answers with the CPU
time, `restore` saves and restores the parameters and answers with the memory. Every answer is a line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")

from benchmarks.contestants import CONTESTANTS, UnavailableError, batches, cpu_seconds
from benchmarks.models import CASES


def main(name: str, case_name: str, file: str, started: str) -> None:
    """Serve until the standard input ends."""
    case = CASES[case_name]
    data = batches(case)
    try:
        contestant = CONTESTANTS[name](case, Path(file))
    except (UnavailableError, ImportError) as error:
        return _answer(unavailable=str(error))
    first_loss = contestant.step(*data[0])
    launch = {"launch_to_first_step_seconds": time.time() - float(started), "launch_cpu_seconds": cpu_seconds()}
    _answer(runtime=contestant.runtime, first_loss=first_loss, **launch)
    for line in sys.stdin:
        order, _, count = line.strip().partition(" ")
        if order == "steps":
            begun = cpu_seconds()
            losses = [contestant.step(*data[index % len(data)]) for index in range(int(count))]
            _answer(cpu_seconds=cpu_seconds() - begun, last_loss=losses[-1], peak_resident_bytes=_peak_resident_bytes())
        else:
            contestant.save_and_restore()
            contestant.step(*data[0])
            _answer(peak_resident_bytes=_peak_resident_bytes())
    return None


def _answer(**document: Any) -> None:
    print(json.dumps(document), flush=True)


def _peak_resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kibibytes) << 10


if __name__ == "__main__":
    main(*sys.argv[1:5])
