"""`fedelta simulate CONFIG.toml`."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from federated.cli import main as fedelta_cli

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.timeout(300),
    # Keras 3.15 with numpy 2, whenever it saves a model.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

CONFIG = """
rounds = 4
clients_per_round = 3
batch_size = 4
seed = 2
directory = "run"

[model]
keras = "start.keras"
loss = "sparse_categorical_crossentropy"
metrics = ["sparse_categorical_accuracy"]

[data]
npz = "data.npz"
y = "label"
scale = 0.5

[algorithm]
name = "fed_prox"
proximal_strength = 0.1

[client_optimizer]
name = "sgdm"
learning_rate = 0.5

[evaluation]
clients = 2
every = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model, the examples of eight clients, and a file that puts them together."""
    import keras

    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    network.save(tmp_path / "start.keras")
    random = np.random.default_rng(1)
    x = random.normal(size=(80, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, label=x[:, :3].argmax(1).astype(np.int32), client=np.arange(80) % 8)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


def simulate(folder: Path, *arguments: str) -> int:
    return fedelta_cli.main(["simulate", str(folder / "config.toml"), "--no-progress", "--threads", "1", *arguments])


def test_a_file_is_simulated_and_its_model_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    assert simulate(folder) == 0
    printed = capsys.readouterr().out
    assert "4 rounds, 0 abandoned" in printed
    assert "evaluation sparse_categorical_accuracy" in printed
    lines = (folder / "run" / "rounds.csv").read_text().splitlines()
    assert sum(",evaluation/loss," in line for line in lines) == 2
    before, after = (keras.saving.load_model(folder / name) for name in ("start.keras", "run/model.keras"))
    assert not np.array_equal(before.get_weights()[0], after.get_weights()[0])


def test_results_are_kept_as_the_file_asks(folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG + "\n[results]\ntensorboard = true\n")
    assert simulate(folder) == 0
    assert {path.name for path in (folder / "run").iterdir()} == {
        "checkpoint.safetensors",
        "model.keras",
        "rounds.csv",
        "tensorboard",
    }
    assert len(list((folder / "run" / "tensorboard").glob("events.out.tfevents.*"))) == 1


@pytest.mark.skipif(
    find_spec("matplotlib") is None or find_spec("pyarrow") is None, reason="needs the extra `simulation`"
)
def test_a_plot_and_a_parquet_table_stand_beside_the_table(folder: Path) -> None:
    results = 'parquet = true\nplot = ["train/loss", "evaluation/loss"]'
    (folder / "config.toml").write_text(f"{CONFIG}\n[results]\n{results}\n")
    assert simulate(folder) == 0
    assert {"rounds.csv", "rounds.parquet", "rounds.png"} <= {path.name for path in (folder / "run").iterdir()}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rounds = 4", "", "does not say rounds"),
        ("rounds = 4", "rounds = 'many'", "rounds is a int, found 'many'"),
        ("seed = 2", "sead = 2", "nothing reads config.toml: sead"),
        ('"fed_prox"', '"fed_best"', "no algorithm 'fed_best'"),
        ("learning_rate", "learningrate", "cannot be made of"),
        ('npz = "data.npz"', 'npz = "none.npz"', "cannot be read"),
        ('npz = "data.npz"', "", "data is one of directory, npz, parquet, sqlite, found none"),
        ("[model]", "[model", "cannot be read"),
        ("clients = 2", "clients = 8", "8 of 8 clients"),
        ("[evaluation]", "[results]\ntensorbord = true\n[evaluation]", "nothing reads config.toml: results.tensorbord"),
        ("[evaluation]", "[results]\nplot = 'loss'\n[evaluation]", "results.plot is a list, found 'loss'"),
    ],
)
def test_a_slip_in_the_file_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    (folder / "config.toml").write_text(CONFIG.replace(old, new, 1))
    assert simulate(folder) == 1
    assert message in capsys.readouterr().err
