"""Devices as they are installed: small environments, each with one of the two runtimes, in one round."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.golden.make_plans import LINEAR
from tests.processes.federation import Federation, linear_examples
from wire.operator_messages import RoundPolicy, TaskRequest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

ENVIRONMENTS = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}
TOO_BIG_FOR_A_DEVICE = {"tensorflow", "tensorflow-cpu", "keras", "fastapi", "sqlalchemy", "pydantic", "alembic"}
MOST_PACKAGES = 15


def _python(name: str) -> str:
    python = Path(__file__).parents[2] / ".venvs" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is not there; `make test` builds it")
    return str(python)


@pytest.mark.parametrize(("name", "runtime"), ENVIRONMENTS.items())
def test_a_device_environment_is_small(name: str, runtime: str) -> None:
    listed = subprocess.run(
        [_python(name), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True,
        check=True,
    )
    packages = {package["name"].lower().replace("_", "-") for package in json.loads(listed.stdout)}
    assert {"fedelta", runtime} <= packages
    assert not packages & TOO_BIG_FOR_A_DEVICE
    assert len(packages) <= MOST_PACKAGES


def test_devices_of_both_environments_report_in_one_round(federation: Federation) -> None:
    for seed, (name, runtime) in enumerate(ENVIRONMENTS.items()):
        device = federation.enrol(name, linear_examples(seed), _python(name))
        federation.start_device(device)
        assert runtime in device.run("status")
    task = federation.client.push(
        TaskRequest("linear", policy=RoundPolicy(rounds=2, cohort=2)), plan=LINEAR.read_bytes()
    )
    assert federation.wait_for_end(task).state == "completed"
    assert all(round_.reported == 2 for round_ in federation.rounds(task))
    said = {device.interpreter.split()[0] for device in federation.client.devices()}
    assert said == set(ENVIRONMENTS.values())
