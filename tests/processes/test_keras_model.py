"""A `.keras` model through the whole path: exported by the orchestrator, trained on a device, equal to Keras."""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes.federation import Federation
from wire import tensors
from wire.operator_messages import RoundPolicy, TaskRequest
from wire.tensors import Array

pytestmark = [
    pytest.mark.processes,
    pytest.mark.tensorflow,
    pytest.mark.timeout(300),
    # Keras 3.15 copies its variables with np.array, whose copy keyword TensorFlow 2.21's variables do not know yet.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

BATCH_SIZE = 12
LEARNING_RATE = 0.1


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return pytest.importorskip("keras")


def _network(keras: Any) -> Any:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _examples(count: int) -> dict[str, Array]:
    generator = np.random.default_rng(7)
    x = generator.uniform(size=(count, 8, 8, 1)).astype(np.float32)
    return {"x": x, "y": generator.integers(3, size=count).astype(np.int32)}


def test_one_client_one_step_and_server_rate_one_equal_a_keras_step(
    keras: Any, federation: Federation, tmp_path: Path
) -> None:
    model, examples = _network(keras), _examples(BATCH_SIZE)
    model.save(tmp_path / "model.keras")
    settings = {"loss": "sparse_categorical_crossentropy", "learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE}
    task = federation.client.push(
        TaskRequest("one step", policy=RoundPolicy(rounds=1, cohort=1), export=settings),
        model=(tmp_path / "model.keras").read_bytes(),
    )
    federation.start_device(federation.enrol("device", examples))
    assert federation.wait_for_end(task).state == "completed"
    checkpoint = federation.client.checkpoints(task.task_id)[1]
    state = tensors.decode(federation.client.resource(checkpoint.sha256))

    model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), loss="sparse_categorical_crossentropy")
    model.train_on_batch(examples["x"], examples["y"])
    weights = model.get_weights()
    parameters = [state[name] for name in sorted(state) if name.startswith("p0")]
    assert len(parameters) == len(weights) == 4
    for found, expected in zip(parameters, weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_curl_line_of_the_readme_pushes_a_keras_model_that_runs_rounds(
    keras: Any, federation: Federation, tmp_path: Path
) -> None:
    model = _network(keras)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.save(tmp_path / "digits.keras")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if line.startswith("curl ")]
    line = line.replace("http://127.0.0.1:8700", federation.url).replace('"cohort": 4', '"cohort": 1')
    pushed = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=os.environ | {"FEDELTA_API_KEY": federation.api_key},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"state":"running"' in pushed.stdout
    federation.start_device(federation.enrol("device", _examples(40)))
    (task,) = federation.client.tasks()
    assert federation.wait_for_end(task).rounds_completed == 3


def test_a_model_that_cannot_be_exported_is_refused_by_layer_and_op(
    keras: Any, federation: Federation, tmp_path: Path
) -> None:
    from wire.errors import ErrorCode, OperatorError

    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            keras.layers.Conv2D(2, 3, data_format="channels_first", name="deep"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model.save(tmp_path / "model.keras")
    with pytest.raises(OperatorError, match="deep") as refused:
        federation.client.push(
            TaskRequest("deep", export={"loss": "sparse_categorical_crossentropy"}),
            model=(tmp_path / "model.keras").read_bytes(),
        )
    assert refused.value.code == ErrorCode.EXPORT_FAILED
    assert not list(federation.client.tasks())
