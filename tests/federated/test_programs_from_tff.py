"""Programs for TensorFlow Federated run after a change of their import, with the results that its tutorials show.

The subjects are those of "Custom Federated Algorithms", parts 1 and 2; `tff.tensorflow.computation` is
`fed.tf_computation` here, as it was called there for years.
"""

import collections
from typing import Any

import numpy as np
import pytest

import federated as fed

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow

# Part 1: readings of temperature, one or many at each client.


def test_types_print_as_in_tensorflow_federated() -> None:
    assert str(fed.FederatedType(np.float32, fed.CLIENTS)) == "{float32}@CLIENTS"
    assert str(fed.FederatedType(np.float32, fed.CLIENTS, all_equal=True)) == "float32@CLIENTS"
    assert str(fed.FederatedType(np.float32, fed.SERVER)) == "float32@SERVER"
    assert str(fed.to_type([("lat", np.float32), ("lon", np.float32)])) == "<lat=float32,lon=float32>"
    reading = fed.FederatedType([("on", np.bool_), ("at", (np.int64, [2]))], fed.CLIENTS)
    assert str(reading) == "{<on=bool,at=int64[2]>}@CLIENTS"
    assert (str(reading.member), str(reading.placement), reading.all_equal) == (
        "<on=bool,at=int64[2]>",
        "CLIENTS",
        False,
    )


def test_an_average_over_sensors() -> None:
    @fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
    def average_temperature(sensors: Any) -> Any:
        assert isinstance(sensors, fed.Value)
        assert str(sensors.type_signature) == "{float32}@CLIENTS"
        return fed.federated_mean(sensors)

    assert str(average_temperature.type_signature) == "({float32}@CLIENTS -> float32@SERVER)"
    assert average_temperature([68.5, 70.3, 69.8]) == pytest.approx(69.53334)


def test_a_computation_is_traced_once_when_it_is_defined() -> None:
    traced: list[Any] = []

    @fed.federated_computation(fed.FederatedType(np.int32, fed.SERVER))
    def identity(x: Any) -> Any:
        traced.append(x)
        return x

    assert [identity(number) for number in (1, 2)] == [1, 2]
    assert len(traced) == 1


def test_python_decides_while_a_local_computation_is_traced() -> None:
    @fed.tf_computation(np.float32)
    def add_half(x: Any) -> Any:
        return tf.add(x, 0.5)

    assert str(add_half.type_signature) == "(float32 -> float32)"
    everywhere = fed.federated_computation(
        lambda x: fed.federated_map(add_half, x), fed.FederatedType(np.float32, fed.CLIENTS)
    )
    assert str(everywhere.type_signature) == "({float32}@CLIENTS -> {float32}@CLIENTS)"
    assert everywhere([1.0, 3.0, 2.0]) == [1.5, 3.5, 2.5]


def test_sequences_are_data_sets_inside() -> None:
    @fed.tf_computation(fed.SequenceType(np.int32))
    def add_up(numbers: Any) -> Any:
        return numbers.reduce(np.int32(0), lambda x, y: x + y)

    assert str(add_up.type_signature) == "(int32* -> int32)"
    assert add_up([1, 2, 3]) == 6


def test_many_readings_at_each_sensor() -> None:
    @fed.tf_computation(fed.SequenceType(np.float32))
    def local_average(readings: Any) -> Any:
        total, count = readings.reduce((0.0, 0), lambda x, y: (x[0] + y, x[1] + 1))
        return total / tf.cast(count, tf.float32)

    assert str(local_average.type_signature) == "(float32* -> float32)"
    assert local_average([68.5, 70.3, 69.8]) == pytest.approx(69.53333)

    @fed.federated_computation(fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS))
    def global_average(sensors: Any) -> Any:
        return fed.federated_mean(fed.federated_map(local_average, sensors))

    assert str(global_average.type_signature) == "({float32*}@CLIENTS -> float32@SERVER)"
    assert global_average([[68.0, 70.0], [71.0], [68.0, 72.0, 70.0]]) == 70.0


def test_elements_with_names() -> None:
    @fed.tf_computation(fed.SequenceType(collections.OrderedDict([("A", np.int32), ("B", np.int32)])))
    def dot(elements: Any) -> Any:
        assert list(elements.element_spec) == ["A", "B"]
        return elements.reduce(np.int32(0), lambda total, x: total + x["A"] * x["B"])

    assert str(dot.type_signature) == "(<A=int32,B=int32>* -> int32)"
    assert dot([{"A": 2, "B": 3}, {"A": 4, "B": 5}]) == 26


# Part 2: federated averaging of a softmax regression, from its parts.

PIXELS, CLASSES = 12, 3
BATCH = fed.to_type(
    collections.OrderedDict(x=tf.TensorSpec([None, PIXELS], tf.float32), y=tf.TensorSpec([None], tf.int32))
)
MODEL = fed.to_type(
    collections.OrderedDict(
        weights=tf.TensorSpec([PIXELS, CLASSES], tf.float32), bias=tf.TensorSpec([CLASSES], tf.float32)
    )
)
LOCAL_DATA = fed.SequenceType(BATCH)


@tf.function  # type: ignore[untyped-decorator]
def forward_pass(model: Any, batch: Any) -> Any:
    predicted = tf.nn.softmax(tf.matmul(batch["x"], model["weights"]) + model["bias"])
    likelihood = tf.reduce_sum(tf.one_hot(batch["y"], CLASSES) * tf.math.log(predicted), axis=[1])
    return -tf.reduce_mean(likelihood)


def batches(classes: list[int]) -> list[Any]:
    random = np.random.Generator(np.random.PCG64(7))
    labels = np.array(classes, np.int32).reshape(-1, 2)
    images = [np.eye(CLASSES)[row].repeat(PIXELS // CLASSES, 1) + random.normal(0, 0.1, (2, PIXELS)) for row in labels]
    return [collections.OrderedDict(x=x.astype(np.float32), y=y) for x, y in zip(images, labels, strict=True)]


def initial_model() -> Any:
    return collections.OrderedDict(
        weights=np.zeros([PIXELS, CLASSES], np.float32), bias=np.zeros([CLASSES], np.float32)
    )


@pytest.fixture(scope="module")
def algorithm() -> Any:
    @fed.tf_computation(MODEL, BATCH)
    def batch_loss(model: Any, batch: Any) -> Any:
        return forward_pass(model, batch)

    @fed.tf_computation(MODEL, BATCH, np.float32)
    def batch_train(initial_model: Any, batch: Any, learning_rate: Any) -> Any:
        model = collections.OrderedDict((name, tf.Variable(value, name=name)) for name, value in initial_model.items())

        @tf.function  # type: ignore[untyped-decorator]
        def step() -> Any:
            with tf.GradientTape() as tape:
                loss = forward_pass(model, batch)
            for name, gradient in tape.gradient(loss, model).items():
                model[name].assign_sub(learning_rate * gradient)
            return collections.OrderedDict((name, variable.read_value()) for name, variable in model.items())

        return step()

    @fed.federated_computation(MODEL, np.float32, LOCAL_DATA)
    def local_train(initial_model: Any, learning_rate: Any, all_batches: Any) -> Any:
        @fed.tf_computation(LOCAL_DATA, np.float32)
        def with_learning_rate(dataset: Any, learning_rate: Any) -> Any:
            return dataset.map(lambda x: (x, learning_rate))

        pairs = with_learning_rate(all_batches, learning_rate)

        @fed.federated_computation(MODEL, pairs.type_signature.element)
        def step(model: Any, pair: Any) -> Any:
            batch, learning_rate = pair
            return batch_train(model, batch, learning_rate)

        return fed.sequence_reduce(pairs, initial_model, step)

    @fed.federated_computation(MODEL, LOCAL_DATA)
    def local_eval(model: Any, all_batches: Any) -> Any:
        @fed.tf_computation(MODEL, LOCAL_DATA)
        def with_model(model: Any, dataset: Any) -> Any:
            return dataset.map(lambda x: (model, x))

        @fed.tf_computation(np.float32, batch_loss.type_signature.result)
        def add(total: Any, loss: Any) -> Any:
            return total + loss

        return fed.sequence_reduce(fed.sequence_map(batch_loss, with_model(model, all_batches)), 0.0, add)

    server_model = fed.FederatedType(MODEL, fed.SERVER)
    client_data = fed.FederatedType(LOCAL_DATA, fed.CLIENTS)

    @fed.federated_computation(server_model, client_data)
    def federated_eval(model: Any, data: Any) -> Any:
        return fed.federated_mean(fed.federated_map(local_eval, [fed.federated_broadcast(model), data]))

    @fed.federated_computation(server_model, fed.FederatedType(np.float32, fed.SERVER), client_data)
    def federated_train(model: Any, learning_rate: Any, data: Any) -> Any:
        parts = [fed.federated_broadcast(model), fed.federated_broadcast(learning_rate), data]
        return fed.federated_mean(fed.federated_map(local_train, parts))

    names = [batch_loss, batch_train, local_train, local_eval, federated_eval, federated_train]
    return {computation.__name__: computation for computation in names}


def test_the_types_of_the_algorithm_are_those_of_the_tutorial(algorithm: Any) -> None:
    batch, model = "<x=float32[?,12],y=int32[?]>", "<weights=float32[12,3],bias=float32[3]>"
    assert {name: str(computation.type_signature) for name, computation in algorithm.items()} == {
        "batch_loss": f"(<model={model},batch={batch}> -> float32)",
        "batch_train": f"(<initial_model={model},batch={batch},learning_rate=float32> -> {model})",
        "local_train": f"(<initial_model={model},learning_rate=float32,all_batches={batch}*> -> {model})",
        "local_eval": f"(<model={model},all_batches={batch}*> -> float32)",
        "federated_eval": f"(<model={model}@SERVER,data={{{batch}*}}@CLIENTS> -> float32@SERVER)",
        "federated_train": (
            f"(<model={model}@SERVER,learning_rate=float32@SERVER,data={{{batch}*}}@CLIENTS> -> {model}@SERVER)"
        ),
    }


def test_training_on_a_batch_lowers_its_loss(algorithm: Any) -> None:
    model, batch = initial_model(), batches([0, 1])[0]
    losses = [algorithm["batch_loss"](model, batch)]
    assert losses[0] == pytest.approx(np.log(CLASSES))
    for _ in range(5):
        model = algorithm["batch_train"](model, batch, 0.1)
        losses.append(algorithm["batch_loss"](model, batch))
    assert losses == sorted(losses, reverse=True)
    assert isinstance(model, collections.OrderedDict)


def test_training_goes_through_the_batches_in_order(algorithm: Any) -> None:
    data = batches([0, 1, 2, 2])
    expected = initial_model()
    for batch in data:
        expected = algorithm["batch_train"](expected, batch, 0.1)
    trained = algorithm["local_train"](initial_model(), 0.1, data)
    for name in expected:
        np.testing.assert_allclose(trained[name], expected[name], rtol=1e-6)
    losses = [algorithm["batch_loss"](trained, batch) for batch in data]
    assert algorithm["local_eval"](trained, data) == pytest.approx(sum(losses), rel=1e-5)


def test_rounds_of_federated_averaging_lower_the_loss_of_all_clients(algorithm: Any) -> None:
    clients = [batches([0, 0]), batches([1, 1, 1, 1]), batches([2, 2])]
    model = initial_model()
    losses = [algorithm["federated_eval"](model, clients)]
    for _ in range(5):
        model = algorithm["federated_train"](model, 0.5, clients)
        losses.append(algorithm["federated_eval"](model, clients))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


def test_one_round_is_the_mean_of_the_local_models(algorithm: Any) -> None:
    clients = [batches([0, 1]), batches([2, 2])]
    mean = algorithm["federated_train"](initial_model(), 0.1, clients)
    local = [algorithm["local_train"](initial_model(), 0.1, data) for data in clients]
    for name in mean:
        np.testing.assert_allclose(mean[name], np.mean([model[name] for model in local], 0), rtol=1e-6)
