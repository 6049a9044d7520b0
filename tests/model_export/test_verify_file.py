"""A file that was exported earlier is held against the model it should be an export of."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from federated.cli.main import main
from model_export.export import export_model
from model_export.learning import learning_plan
from plans import bundle
from tests.model_export.zoo import ZOO

pytestmark = pytest.mark.tensorflow

RATE = 0.25


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A compiled model, its plan and its TFLite file; a plan that trains otherwise; a model of another shape."""
    folder, model, loss = tmp_path_factory.mktemp("verify"), ZOO["mlp"].model(), ZOO["mlp"].loss
    model.compile(keras.optimizers.SGD(RATE), loss)
    plan = learning_plan(model, name="mlp", batch_size=4)
    faster = learning_plan(model, name="mlp", optimizer=2 * RATE, batch_size=4)
    other = ZOO["pixels"].model()
    other.compile(keras.optimizers.SGD(RATE), ZOO["pixels"].loss)
    contents: dict[str, Any] = {
        "mlp.plan": bundle.pack(plan),
        "faster.plan": bundle.pack(dataclasses.replace(plan, client=faster.client)),
        "mlp.tflite": export_model(model, batch_size=3, metrics=("accuracy",)).tflite,
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    model.save(folder / "mlp.keras")
    other.save(folder / "other.keras")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(("name", "signature"), [("mlp.plan", "train_update"), ("mlp.tflite", "restore")])
def test_a_file_equals_its_model(
    files: Mapping[str, Path], name: str, signature: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "verify", str(files[name]), "--against", str(files["mlp.keras"])]) == 0
    assert signature in capsys.readouterr().out


def test_a_file_equals_its_model_whatever_its_weights(files: Mapping[str, Path], tmp_path: Path) -> None:
    model = keras.models.load_model(files["mlp.keras"])
    model.set_weights([value + np.float32(0.1) for value in model.get_weights()])
    model.save(tmp_path / "trained.keras")
    assert main(["export", "verify", str(files["mlp.plan"]), "--against", str(tmp_path / "trained.keras")]) == 0


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("faster.plan", "mlp.keras", "train: .* differs from Keras"),
        ("mlp.plan", "other.keras", "mlp.plan is no export of .*other.keras"),
        ("mlp.keras", "mlp.keras", "mlp.keras is no export of "),
        ("mlp.plan", "missing.keras", "missing.keras is not a Keras model"),
    ],
)
def test_a_file_that_is_not_its_models_is_refused(
    files: Mapping[str, Path], name: str, model: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model_path = files.get(model, Path("missing.keras"))
    assert main(["export", "verify", str(files[name]), "--against", str(model_path)]) == 1
    assert re.search(message, capsys.readouterr().err)
