"""The types of the language stand on numpy alone, and load at once."""

import subprocess
import sys

MODULES = ("errors", "placements", "structures", "conversion", "types", "notation", "containers", "arrays")

PROGRAM = f"""
import sys, time
import numpy, dataclasses, typing, textwrap, json
start = time.process_time()
for name in {MODULES}:
    __import__("federated.language." + name)
print(time.process_time() - start)
print([name for name in ("tensorflow", "keras", "ai_edge_litert", "attrs") if name in sys.modules])
"""


def test_they_load_at_once_and_without_tensorflow() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    seconds, loaded = zip(*(run.stdout.split("\n")[:2] for run in runs), strict=True)
    assert set(loaded) == {"[]"}
    assert min(map(float, seconds)) < 0.1
