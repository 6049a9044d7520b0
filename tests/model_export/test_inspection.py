"""A plan or a TFLite file tells what it holds, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from federated.cli.main import main
from model_export.inspection import inspect
from tests.golden.make_plans import LINEAR
from tests.golden.make_refused import SCALAR_INPUT, SUM_OF_RANK_SEVEN
from tests.plans.linear import PLAN


def test_the_signatures_variables_and_ops_of_a_file_are_told() -> None:
    contents = inspect(PLAN.client)
    step = {signature.name: signature for signature in contents.signatures}["train_step"]
    assert step.inputs == {"example_weight": "float32[4]", "x": "float32[4,2]", "y": "float32[4]"}
    assert step.outputs == {"loss": "float32[1]"}
    assert step.ops == 45
    assert str(contents.variables["w"]) == "float32[2]"
    assert contents.variable_bytes == 4 * (2 + 2 + 6)
    assert contents.file_bytes == len(PLAN.client)
    assert contents.ops["VAR_HANDLE"] == 45
    assert contents.problems == ()


def test_the_memory_of_a_signature_counts_what_is_alive_at_once() -> None:
    """x of 2^7 floats is read last by the sum of 2^4, when the one element of the counter is there too."""
    add_up = {signature.name: signature for signature in inspect(SUM_OF_RANK_SEVEN.read_bytes()).signatures}["add_up"]
    assert 4 * (2**7 + 2**4) <= add_up.peak_tensor_bytes <= 4 * (2**7 + 2**4 + 4)


def test_what_a_device_could_not_run_is_told() -> None:
    assert any("SUM over a tensor of rank 7" in problem for problem in inspect(SUM_OF_RANK_SEVEN.read_bytes()).problems)
    assert any("add_up: x has rank 0" in problem for problem in inspect(SCALAR_INPUT.read_bytes()).problems)


def test_the_command_shows_both_programs_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "inspect", str(LINEAR)]) == 0
    output = capsys.readouterr().out
    assert [line.split(":")[0] for line in output.splitlines() if ".tflite:" in line] == [
        "client.tflite",
        "server.tflite",
    ]
    assert "takes example_weight float32[4], x float32[4,2], y float32[4]" in output


def test_the_command_gives_a_program_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "client.tflite"
    path.write_bytes(PLAN.client)
    assert main(["export", "inspect", str(path), "--json"]) == 0
    document: Any = json.loads(capsys.readouterr().out)
    assert document["client.tflite"]["variables"]["b"] == "float32[1]"
    assert document["client.tflite"]["variable_bytes"] == 40
    assert document["client.tflite"]["signatures"][0]["name"] == "evaluate_begin"


@pytest.mark.parametrize("name", ["missing.plan", "text.plan", "text.tflite"])
def test_a_file_that_is_none_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("neither a plan nor a program")
    assert main(["export", "inspect", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.startswith("fedelta export inspect: ")


def test_it_needs_no_tensorflow() -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        f"from federated.cli.main import main; sys.exit(main(['export', 'inspect', {str(LINEAR)!r}]))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
