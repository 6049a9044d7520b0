"""Rounds over a cohort: what they come to, what they leave out, and a run that is taken up again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import ValueMismatchError
from federated.learning.batches import ExampleBatches
from federated.simulation import CheckpointError, DataError, SimulationError, Trace, outputs, train
from federated.simulation.datasets import ClientData, from_function, pooled
from federated.simulation.results import RoundResult
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

NAMES = [f"{n}" for n in range(8)]


@pytest.fixture(scope="module")
def process() -> Any:
    """Softmax regression by FedAvg."""
    return fed.learning.algorithms.build_weighted_fed_avg(softmax(), fed.learning.optimizers.build_sgdm(0.1))


def softmax() -> Any:
    """Softmax regression of three classes."""
    import keras

    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fed.learning.models.functional_model_from_keras(network, loss)


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Any:
    """One context for all, so that each plan is compiled once."""
    with fed.plan_context(threads=2) as context:
        yield context


def clients(**changed: tuple[Array, Array]) -> ClientData:
    """Eight clients of 5 to 12 examples; some may have others."""

    def read(name: str) -> tuple[Array, Array]:
        random = np.random.default_rng(int(name))
        x = random.normal(size=(5 + int(name), 4)).astype(np.float32)
        return changed.get(f"client_{name}", (x, (x[:, :3].argmax(1)).astype(np.int32)))

    return from_function(NAMES, read)


def held(process: Any, data: ClientData, rounds: int = 1, **options: Any) -> Any:
    options = {"clients_per_round": 8, "batch_size": 4, "seed": 5, "show_progress": False, **options}
    return train(process, data, rounds=rounds, **options)


def weights(process: Any, state: Any) -> list[Array]:
    return [np.asarray(w) for w in process.get_model_weights(state).trainable]


def same(process: Any, one: Any, other: Any) -> bool:
    pairs = zip(weights(process, one), weights(process, other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_round_is_what_the_process_makes_of_lists_of_batches(process: Any) -> None:
    data = clients()
    result = held(process, data, clients_per_round=3)
    lists = [list(client) for client in data.cohort(["0", "1", "2"], 4)]
    streamed = process.next(process.initialize(), data.cohort(["0", "1", "2"], 4)).state
    assert same(process, streamed, process.next(process.initialize(), lists).state)
    assert result.rounds[0].metrics["num_examples"] > 0
    assert not same(process, result.state, process.initialize())


def test_the_local_context_agrees(process: Any) -> None:
    streamed = clients().cohort(NAMES, 4)
    planned = process.next(process.initialize(), streamed).state
    with fed.local_context():
        plain = process.next(process.initialize(), streamed).state
    for found, expected in zip(weights(process, planned), weights(process, plain), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_how_many_threads_there_are_changes_no_bit(process: Any) -> None:
    states = []
    for threads in (1, 3):
        with fed.plan_context(threads=threads):
            states.append(held(process, clients(), 2).state)
    assert same(process, *states)


def test_a_run_learns_and_reports(process: Any, tmp_path: Path) -> None:
    result = held(
        process, clients(), 6, evaluate=lambda state: {"norm": float(np.sum(weights(process, state)[0] ** 2))},
        evaluate_every=4, directory=tmp_path,
    )  # fmt: skip
    losses = list(result.column("train/loss").values())
    assert losses[-1] < losses[0]
    assert sorted(result.column("evaluation/norm")) == [4, 6]
    table = (tmp_path / "rounds.csv").read_text().splitlines()
    assert table[0] == "round_number,outcome,metric,value"
    assert sum(line.startswith("6,completed,evaluation/norm") for line in table) == 1
    result.save(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().splitlines() == table


def test_outputs_get_all_rounds_whenever_a_checkpoint_is_due(process: Any, tmp_path: Path) -> None:
    called: list[list[int]] = []
    table = outputs.table(tmp_path / "new" / "rounds.csv")
    given = [lambda rounds: called.append([one.round_number for one in rounds]), table]
    result = held(process, clients(), 5, outputs=given, checkpoint_every=2)
    assert called == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5]]
    result.save(tmp_path / "rounds.csv")
    assert (tmp_path / "new" / "rounds.csv").read_text() == (tmp_path / "rounds.csv").read_text()


def test_everybody_in_one_place_is_one_client_with_all_examples(process: Any) -> None:
    data = clients()
    (name,) = pooled(data).client_ids
    assert len(pooled(data).examples(name).y) == sum(len(data.examples(one).y) for one in NAMES)
    whole = data.all_examples()
    central = process.next(process.initialize(), [ExampleBatches(*whole, 4)]).state
    assert same(process, central, process.next(process.initialize(), pooled(data).cohort([name], 4)).state)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(process: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"clients_per_round": 4, "dropout": 0.3, "checkpoint_every": 2}
    whole = held(process, clients(), 6, **options)
    held(process, clients(), 2, directory=tmp_path, **options)
    resumed = held(process, clients(), 6, directory=tmp_path, **options)
    assert same(process, whole.state, resumed.state)
    assert [without_time(one) for one in whole.rounds] == [without_time(one) for one in resumed.rounds]


def test_what_clients_keep_goes_on_from_the_checkpoint_too(tmp_path: Path) -> None:
    """Here a run is cut in the third round, whose states are on the disk, and the checkpoint is of the second."""
    personal = fed.learning.algorithms.build_ditto(softmax(), 0.5, fed.learning.optimizers.build_sgdm(0.1))
    options: dict[str, Any] = {"clients_per_round": 4, "checkpoint_every": 2}
    whole = held(personal, clients(), 5, directory=tmp_path / "whole", **options)
    rounds = []

    def cut(state: Any) -> dict[str, float]:
        rounds.append(state)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        held(personal, clients(), 5, directory=tmp_path / "cut", evaluate=cut, **options)
    resumed = held(personal, clients(), 5, directory=tmp_path / "cut", **options)
    assert same(personal, whole.state, resumed.state)
    assert [without_time(one) for one in whole.rounds] == [without_time(one) for one in resumed.rounds]
    found = [fed.simulation.DeviceStates(tmp_path / run / "device_states") for run in ("whole", "cut")]
    for name in NAMES:
        one, other = (states.read(personal.next_computation.__name__, name) or {} for states in found)
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)
    assert resumed.rounds[-1].metrics["personal_loss"] > 0


def without_time(result: RoundResult) -> dict[str, Any]:
    return {**vars(result), "seconds": None}


def test_a_checkpoint_of_another_run_is_refused(process: Any, tmp_path: Path) -> None:
    held(process, clients(), 1, directory=tmp_path)
    with pytest.raises(CheckpointError, match="seed 5, not 6"):
        held(process, clients(), 2, directory=tmp_path, seed=6)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        held(process, clients(), 2, directory=tmp_path)


def test_an_update_that_is_not_finite_is_left_out_and_counted(process: Any) -> None:
    x = np.full((6, 4), np.nan, np.float32)
    spoiled = held(process, clients(client_2=(x, np.zeros(6, np.int32)))).rounds[0]
    assert (spoiled.outcome, spoiled.refused) == ("completed", 1)
    assert "client '2'" in spoiled.reason
    assert "NaN or infinity" in spoiled.reason
    assert np.isfinite(spoiled.metrics["loss"])


def test_a_client_without_examples_counts_for_nothing(process: Any) -> None:
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    data = clients(client_3=nothing)
    result = held(process, data).rounds[0]
    assert (result.outcome, result.empty, result.clients) == ("completed", 1, 8)
    cohort = data.cohort([name for name in NAMES if name != "3"], 4)
    without = process.next(process.initialize(), cohort).state
    with_it = process.next(process.initialize(), data.cohort(NAMES, 4)).state
    assert same(process, without, with_it)


def test_one_example_is_enough(process: Any) -> None:
    one = np.ones((1, 4), np.float32), np.ones(1, np.int32)
    data = clients(client_0=one).select(["0"])
    result = held(process, data)
    assert result.rounds[0].metrics["num_examples"] == 1


def abandoned(process: Any, data: ClientData, **options: Any) -> RoundResult:
    """The only round, which changed nothing."""
    result = held(process, data, **options)
    assert result.rounds[0].outcome == "abandoned"
    assert same(process, result.state, process.initialize())
    only: RoundResult = result.rounds[0]
    return only


def test_a_round_of_nobody_is_abandoned_and_says_why(process: Any) -> None:
    nan = np.full((2, 4), np.nan, np.float32), np.zeros(2, np.int32)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    assert abandoned(process, clients(), dropout=1.0).reason == "every client dropped out"
    assert abandoned(process, clients(), availability=Trace({})).reason == "no client was there"
    assert "had examples" in abandoned(process, clients(client_0=nothing).select(["0"])).reason
    assert abandoned(process, clients(client_0=nan).select(["0"])).refused == 1


X = np.zeros((3, 4), np.float32)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, [0, 1, 3], r"client '6' has the label 3; the model has the classes 0 to 2"),
        (X, [0, -1, 2], r"client '6' has the label -1; the model has the classes 0 to 2"),
        (X, [0.5, 1, 2], r"client '6', y: expected int32\[\?\], found floats"),
        (X, [[0], [1], [2]], r"client '6', y: expected int32\[\?\], found the shape \[3, 1\]"),
        (X, ["0", "1", "2"], r"client '6', y: expected int32\[\?\], found strings"),
        (np.zeros((3, 5), np.float32), [0, 1, 2], r"client '6', x: expected float32\[\?,4\], found the shape \[3, 5\]"),
        (np.full((3, 4), 1e300), [0, 1, 2], r"client '6', x: .* too large for float32"),
        (X, [0, 1], r"the client '6' has x of the shape \[3, 4\] and y of \[2\]"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_by_client_and_line(
    process: Any, x: Array, y: list[Any], message: str
) -> None:
    with pytest.raises((ValueMismatchError, DataError), match=message) as refused:
        held(process, clients(client_6=(x, np.array(y))).select(["5", "6"]))
    assert "test_training.py" in str(refused.value.where)
    assert "next_round takes" not in str(refused.value)


def test_what_a_reader_raises_names_the_client(process: Any) -> None:
    def read(name: str) -> tuple[Array, Array]:
        raise PermissionError(name)

    with pytest.raises(PermissionError) as raised:
        held(process, from_function(["ann"], read))
    assert "while the client 'ann' was read" in raised.value.__notes__[0]


def test_a_run_that_no_round_can_be_held_with_is_refused(process: Any) -> None:
    with pytest.raises(SimulationError, match="dropout"):
        held(process, clients(), dropout=2.0)
    with pytest.raises(SimulationError, match="there are no clients"):
        held(process, from_function([], lambda name: (X, X)))


def test_batches_of_different_sizes_make_no_difference(process: Any) -> None:
    """Padding weighs nothing."""
    x, y = clients().examples("7")
    small = [[(x[:4], y[:4]), (x[4:], y[4:])]]
    padded: Sequence[Any] = [*small, ExampleBatches(x[:0], y[:0], 20)]
    first, second = (process.next(process.initialize(), one).state for one in (small, padded))
    for a, b in zip(weights(process, first), weights(process, second), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
