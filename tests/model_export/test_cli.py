"""`fedelta export` writes a plan or says clearly why not, and never half of one."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from model_export.builtin_ops import check
from model_export.cli import COMMAND
from plans import bundle
from tests.model_export.zoo import ZOO

pytestmark = pytest.mark.tensorflow

LOGITS = "sparse_categorical_crossentropy_from_logits"
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command on a model file; `settings` go into the settings file."""

    def run(*arguments: str, settings: Any = None, model: str = "mlp.keras") -> int:
        parser = argparse.ArgumentParser()
        COMMAND.add_arguments(parser)
        if settings is not None:
            (tmp_path / "settings.json").write_text(json.dumps(settings))
            arguments = (*arguments, "--settings", str(tmp_path / "settings.json"))
        plain = [str(tmp_path / model), "--out", str(tmp_path / "mlp.plan"), *arguments]
        return COMMAND.run(parser.parse_args(plain))

    return run


@pytest.fixture
def model(tmp_path: Path) -> Any:
    model = ZOO["mlp"].model()
    model.save(tmp_path / "mlp.keras")
    return model


def _plan(tmp_path: Path) -> bundle.Plan:
    return bundle.unpack((tmp_path / "mlp.plan").read_bytes())


@pytest.mark.usefixtures("model")
def test_flags_decide_what_the_plan_does(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tflite = tmp_path / "mlp.tflite"
    flags = f"--loss {LOGITS} --learning-rate 0.25 --batch-size 3 --epochs 2 --metric accuracy --collection digits"
    assert run(*flags.split(), "--name", "digits", "--server-learning-rate", "0.5", "--tflite", str(tflite)) == 0
    plan = _plan(tmp_path)
    selector = plan.manifest.work("train").passes[0].selector
    assert (plan.manifest.name, selector.collection, selector.batch_size, selector.epochs) == ("digits", "digits", 3, 2)
    assert plan.initial["client_learning_rate"] == 0.25
    assert plan.initial["server_learning_rate"] == 0.5
    assert tflite.read_bytes() == plan.client
    check(plan.client)
    output = capsys.readouterr()
    assert bundle.digest((tmp_path / "mlp.plan").read_bytes()) in output.out
    assert "verify" in output.err


@pytest.mark.usefixtures("model")
def test_settings_come_from_a_file_and_flags_go_before_them(run: Run, tmp_path: Path) -> None:
    settings = {"loss": LOGITS, "name": "from file", "batch_size": 4, "metrics": [], "optimizer": "sgd"}
    assert run("--batch-size", "2", settings=settings) == 0
    train = _plan(tmp_path).manifest.work("train")
    assert (train.passes[0].selector.batch_size, set(train.metrics)) == (2, {"loss_sum", "loss_count"})


def test_a_compiled_model_brings_its_loss_and_learning_rate(run: Run, model: Any, tmp_path: Path) -> None:
    model.compile(keras.optimizers.SGD(0.125), ZOO["mlp"].loss)
    model.save(tmp_path / "mlp.keras")
    assert run() == 0
    plan = _plan(tmp_path)
    assert plan.manifest.name == "mlp"
    assert plan.initial["client_learning_rate"] == 0.125


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": LOGITS, "batchsize": 3}, "SettingsError", "unknown setting 'batchsize'"),
        ({"loss": LOGITS, "batch_size": "3"}, "SettingsError", "$.batch_size: expected an integer"),
        ({"loss": LOGITS, "epochs": 0}, "SettingsError", "epochs must be an integer of at least 1"),
        ([], "SettingsError", "expected an object"),
        ({"loss": "mze"}, "UnsupportedModelError", "loss 'mze'"),
        ({"loss": LOGITS, "optimizer": "adem"}, "UnsupportedModelError", "optimizer 'adem'"),
        ({}, "UnsupportedModelError", "not compiled"),
    ],
)
@pytest.mark.usefixtures("model")
def test_a_refusal_is_one_line_of_json_and_writes_nothing(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], settings: Any, error: str, message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    assert run("--errors", "json", settings=settings) == 1
    document = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert document["error"] == error
    assert message in document["message"]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in before} | {"settings.json"}


def test_a_file_that_is_no_model_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.keras").write_text("not a model")
    assert run(model="text.keras") == 1
    assert run(model="missing.keras") == 1
    assert "text.keras is not a Keras file" in capsys.readouterr().err


def test_a_model_with_code_of_its_own_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = [keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Dense(2)]
    keras.Sequential(body).save(tmp_path / "mlp.keras")
    assert run("--loss", LOGITS) == 1
    assert "loaded safely" in capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_a_plan_that_cannot_be_written_is_an_error(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--loss", LOGITS, "--tflite", str(tmp_path / "missing" / "mlp.tflite")) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "mlp.plan").exists()


_AS_A_PROCESS = """
import argparse, sys
from model_export.cli import COMMAND
parser = argparse.ArgumentParser()
COMMAND.add_arguments(parser)
sys.exit(COMMAND.run(parser.parse_args(sys.argv[1:])))
"""


def test_a_process_says_nothing_but_its_own_message(tmp_path: Path) -> None:
    culprit = keras.layers.Conv2D(2, 2, data_format="channels_first", name="culprit")
    body = [keras.Input((1, 3, 3)), culprit, keras.layers.Flatten()]
    keras.Sequential([*body, keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    arguments = [str(tmp_path / "m.keras"), "--out", str(tmp_path / "m.plan"), "--loss", LOGITS, "--errors", "json"]
    command = [sys.executable, "-c", _AS_A_PROCESS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["error"] == "UnsupportedOpError"


_WITHOUT_TENSORFLOW = """
import argparse, sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from model_export.cli import COMMAND
parser = argparse.ArgumentParser()
COMMAND.add_arguments(parser)
sys.exit(COMMAND.run(parser.parse_args(["m.keras", "--out", "m.plan", "--errors", "json"])))
"""


def test_without_tensorflow_the_error_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TENSORFLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    document = json.loads(done.stderr.splitlines()[-1])
    assert document["error"] == "MissingTensorFlowError"
    assert "pip install 'fedelta[export]'" in document["message"]


def test_importing_the_package_or_the_command_does_not_load_tensorflow() -> None:
    code = "import sys, model_export, model_export.cli; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
