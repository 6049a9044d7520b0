"""A checkpoint goes back into Keras, and a model file predicts what Keras does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated.cli.main import main
from plans import bundle, inference
from wire import tensors

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(300),
    # Keras 3.15 copies its variables with np.array, whose copy keyword TensorFlow 2.21's variables do not know yet.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

BATCH = 5


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A saved model, its plan, and a checkpoint with other values."""
    import keras

    from model_export.learning import learning_plan

    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dense(3, "softmax")]
    )
    folder = tmp_path_factory.mktemp("weights")
    model.save(folder / "model.keras")
    plan = learning_plan(model, name="small", loss="sparse_categorical_crossentropy", optimizer="sgd", batch_size=BATCH)
    generator = np.random.default_rng(1)
    state = {
        name: value if value.ndim == 0 else generator.uniform(0.1, 1.0, value.shape).astype(value.dtype)
        for name, value in plan.initial.items()
    }
    (folder / "checkpoint.safetensors").write_bytes(tensors.encode(state))
    return folder, plan


def written(folder: Path, out: Path) -> int:
    command = ["export", "weights", str(folder / "model.keras"), "--checkpoint", str(folder / "checkpoint.safetensors")]
    return main([*command, "--out", str(out)])


@pytest.mark.parametrize("name", ["trained.keras", "trained.weights.h5"])
def test_a_model_file_predicts_what_keras_does_with_the_checkpoints_weights(
    exported: Any, name: str, tmp_path: Path
) -> None:
    import keras

    folder, plan = exported
    assert written(folder, tmp_path / name) == 0
    if name.endswith(".keras"):
        trained = keras.models.load_model(tmp_path / name)
    else:
        trained = keras.models.load_model(folder / "model.keras")
        trained.load_weights(tmp_path / name)
    x = np.random.default_rng(2).normal(size=(BATCH, 6)).astype(np.float32)
    data = inference.model_of(plan, bundle.digest(bundle.pack(plan)), (folder / "checkpoint.safetensors").read_bytes())
    given = inference.Model(data).predict(x=x)["output"]
    np.testing.assert_allclose(given, trained(x, training=False).numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(given - keras.models.load_model(folder / "model.keras")(x, training=False).numpy()).max() > 1e-3


def test_a_checkpoint_of_another_model_is_refused(
    exported: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = exported
    other = tmp_path / "other.safetensors"
    other.write_bytes(tensors.encode({"w": np.zeros(2, np.float32)}))
    command = ["export", "weights", str(folder / "model.keras"), "--checkpoint", str(other)]
    assert main([*command, "--out", str(tmp_path / "a.keras")]) == 1
    assert "is not a checkpoint of this model" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "a.zip")]) == 1
    assert "must end with .keras" in capsys.readouterr().err
    assert not (tmp_path / "a.keras").exists()
