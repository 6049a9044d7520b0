"""Programs behave the same on every runtime, with its delegate and without; see `tests.plans.probe`."""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.plans import probe

ROOT = Path(__file__).parents[2]
# name -> (python, what it shall not find, the runtime expected)
ENVIRONMENTS = {
    "litert": (ROOT / ".venvs/litert/bin/python", "", "ai-edge-litert"),
    "tflite-runtime": (ROOT / ".venvs/tflite-runtime/bin/python", "", "tflite-runtime"),
    "tensorflow": (Path(sys.executable), "ai_edge_litert tflite_runtime", "tensorflow"),
}
_MARKS = {"tensorflow": [pytest.mark.tensorflow]}


@cache
def probed(environment: str, mode: str) -> Any:
    python, without, _ = ENVIRONMENTS[environment]
    if not python.exists() or (environment == "tensorflow" and find_spec("tensorflow") is None):
        pytest.skip(f"the environment {environment} is not there; `make test` builds it")
    done = subprocess.run(
        [str(python), "-W", "error", "-m", "tests.plans.probe", mode],
        cwd=ROOT,
        env=os.environ | {"PROBE_WITHOUT": without, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("check", [check.__name__ for check in probe.CHECKS])
@pytest.mark.parametrize("mode", ["delegate", "plain"])
@pytest.mark.parametrize("environment", [pytest.param(name, marks=_MARKS.get(name, [])) for name in ENVIRONMENTS])
def test_a_runtime_does_what_programs_need(environment: str, mode: str, check: str) -> None:
    report = probed(environment, mode)
    assert report["runtime"] == ENVIRONMENTS[environment][2]
    assert report["complaints"][check] == ""
