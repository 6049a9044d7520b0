"""Sound programs that no plan can be made of, and what is said to each."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import federated as fed
from tests.federated.wrong.catalogue import Catalogue, entry

COMPILING: Catalogue = {}


class _TensorFlow:
    """TensorFlow, loaded when a program is made rather than when they are listed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("tensorflow"), name)


tf: Any = _TensorFlow()

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
INTS = fed.FederatedType(np.int32, fed.CLIENTS)
VECTORS = fed.FederatedType((np.float32, [3]), fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
BOUND = fed.FederatedType(np.int32, fed.SERVER)
STREAM = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS)
BATCHES = fed.FederatedType(fed.SequenceType((np.float32, [None])), fed.CLIENTS)


def wrong(title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    return entry(COMPILING, title)


@fed.tf_computation
def add(a: Any, b: Any) -> Any:
    return a + b


def _of_stream(work: Callable[[Any], Any]) -> Any:
    """A plan for a local computation over each client's data set."""
    each = fed.tf_computation(fed.SequenceType(np.float32))(work)
    return fed.compiled(
        fed.federated_computation(STREAM)(lambda data: fed.federated_sum(fed.federated_map(each, data)))
    )


def _of_each(work: Callable[[Any], Any], type_: Any = FLOATS) -> Any:
    """A plan for a local computation on each client's value."""
    each = fed.tf_computation(type_.member)(work)
    return fed.compiled(fed.federated_computation(type_)(lambda x: fed.federated_sum(fed.federated_map(each, x))))


@wrong("A result that clients have")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def doubled(readings: Any) -> Any:
        return fed.federated_sum(readings), fed.federated_map(add, (readings, readings))

    fed.compiled(doubled)


@wrong("A sequence at the server")
def _() -> None:
    @fed.federated_computation(fed.FederatedType(fed.SequenceType(np.float32), fed.SERVER), FLOATS)
    def total(history: Any, readings: Any) -> Any:
        return fed.sequence_sum(history), fed.federated_sum(readings)

    fed.compiled(total)


@wrong("A sequence inside a structure of clients")
def _() -> None:
    @fed.federated_computation(fed.FederatedType({"data": fed.SequenceType(np.float32), "k": np.float32}, fed.CLIENTS))
    def total(mine: Any) -> Any:
        return fed.federated_sum(fed.sequence_reduce(mine["data"], mine["k"], add))

    fed.compiled(total)


@wrong("A computation with nothing for devices to do")
def _() -> None:
    fed.compiled(fed.federated_computation(NUMBER)(lambda state: fed.federated_map(add, (state, state))))


@wrong("A plan of a local computation")
def _() -> None:
    fed.compiled(fed.tf_computation(np.float32)(lambda x: x))


@wrong("A shape that the type leaves open")
def _() -> None:
    total = fed.tf_computation(BATCHES.member)(
        lambda data: data.reduce(0.0, lambda sum_, batch: sum_ + tf.reduce_sum(batch))
    )
    fed.compiled(fed.federated_computation(BATCHES)(lambda data: fed.federated_sum(fed.federated_map(total, data))))


@wrong("A size that depends on the values")
def _() -> None:
    @fed.federated_computation(VECTORS)
    def positive(readings: Any) -> Any:
        kept = fed.federated_map(fed.tf_computation(lambda x: tf.boolean_mask(x, x > 0)), readings)
        return fed.federated_sum(fed.federated_map(fed.tf_computation(tf.reduce_sum), kept))

    fed.compiled(positive)


@wrong("Batches of different sizes")
def _() -> None:
    total = fed.tf_computation(fed.SequenceType((np.float32, [None])))(
        lambda data: data.reduce(0.0, lambda sum_, batch: sum_ + tf.reduce_sum(batch))
    )
    with fed.plan_context():
        fed.federated_computation(BATCHES)(lambda data: fed.federated_sum(fed.federated_map(total, data)))(
            [[[1, 2], [3]]]
        )


@wrong("Batches whose tensors have different lengths")
def _() -> None:
    element = fed.SequenceType(((np.float32, [None]), (np.float32, [None])))
    total = fed.tf_computation(element)(
        lambda data: data.reduce(0.0, lambda sum_, batch: sum_ + tf.reduce_sum(batch[0]))
    )
    with fed.plan_context():
        fed.federated_computation(fed.FederatedType(element, fed.CLIENTS))(
            lambda data: fed.federated_sum(fed.federated_map(total, data))
        )([[([1.0, 2.0], [1.0])]])


@wrong("Values of different shapes")
def _() -> None:
    type_ = fed.FederatedType((np.float32, [None]), fed.CLIENTS)
    with fed.plan_context():
        fed.federated_computation(type_)(
            lambda x: fed.federated_sum(fed.federated_map(fed.tf_computation(tf.reduce_sum), x))
        )([[1.0, 2.0], [3.0]])


@wrong("A parameter of a dtype that devices lack")
def _() -> None:
    fed.compiled(fed.federated_computation(fed.FederatedType(np.float64, fed.CLIENTS))(fed.federated_sum))


@wrong("Strings at the clients")
def _() -> None:
    _of_each(tf.strings.length, fed.FederatedType(np.str_, fed.CLIENTS))


@wrong("A value of a dtype that devices lack")
def _() -> None:
    _of_each(lambda x: tf.cast(x, tf.float64))


@wrong("An operation of a dtype that devices lack")
def _() -> None:
    _of_each(lambda x: tf.cast(tf.cast(x, tf.float64) * 2.0, tf.float32))


@wrong("An operation that devices lack")
def _() -> None:
    _of_each(tf.math.erfinv)


@wrong("A random number")
def _() -> None:
    _of_each(lambda x: x + tf.random.normal([]))


@wrong("A random number from a seed")
def _() -> None:
    _of_each(lambda x: x + tf.random.stateless_normal([], tf.cast([x, x], tf.int32)))


@wrong("A variable in a local computation")
def _() -> None:
    def counted(x: Any) -> Any:
        total = tf.Variable(x)
        total.assign_add(1.0)
        return total.read_value()

    _of_each(counted)


@wrong("A data set that is shuffled")
def _() -> None:
    _of_stream(lambda data: data.shuffle(8).reduce(0.0, lambda a, x: a + x))


@wrong("A data set that is made into batches")
def _() -> None:
    _of_stream(lambda data: data.batch(8).reduce(0.0, lambda a, x: a + tf.reduce_sum(x)))


@wrong("A data set that is gone through with `for`")
def _() -> None:
    def total(data: Any) -> Any:
        sum_ = tf.constant(0.0)
        for reading in data:
            sum_ += reading
        return sum_

    _of_stream(tf.function(total))


@wrong("A data set that is given to TensorFlow")
def _() -> None:
    def total(data: Any) -> Any:
        sums = tf.data.Dataset.zip((data, data)).map(lambda a, b: a + b)
        return sums.reduce(0.0, lambda a, x: a + x)

    _of_stream(total)


@wrong("A data set that a local computation makes")
def _() -> None:
    first_numbers = fed.tf_computation(np.int64)(lambda number: tf.data.Dataset.range(number + 1))
    counts = fed.FederatedType(np.int64, fed.CLIENTS)
    fed.compiled(
        fed.federated_computation(counts)(
            lambda count: fed.federated_sum(fed.sequence_sum(fed.federated_map(first_numbers, count)))
        )
    )


@wrong("A reduction whose shape changes")
def _() -> None:
    _of_stream(lambda data: tf.reduce_sum(data.reduce(tf.zeros([1]), lambda a, x: tf.concat([a, [x]], 0))))


@wrong("A sequence gone through for each element of another")
def _() -> None:
    @fed.federated_computation(STREAM, STREAM)
    def pairs(left: Any, right: Any) -> Any:
        def each(both: Any) -> Any:
            return fed.sequence_sum(fed.sequence_map(lambda x: fed.sequence_reduce(both[1], x, add), both[0]))

        return fed.federated_sum(fed.federated_map(each, (left, right)))

    fed.compiled(pairs)


@wrong("A reduction that uses each element of another sequence")
def _() -> None:
    @fed.federated_computation(STREAM, STREAM)
    def pairs(left: Any, right: Any) -> Any:
        def each(both: Any) -> Any:
            def inner(x: Any) -> Any:
                return fed.sequence_reduce(both[1], 0.0, lambda total, y: add(total, add(x, y)))

            return fed.sequence_sum(fed.sequence_map(inner, both[0]))

        return fed.federated_sum(fed.federated_map(each, (left, right)))

    fed.compiled(pairs)


@wrong("A function of an aggregation that uses a value from outside")
def _() -> None:
    @fed.federated_computation(FLOATS, np.float32)
    def scaled(readings: Any, factor: Any) -> Any:
        def accumulate(total: Any, reading: Any) -> Any:
            return add(total, add(reading, factor))

        return fed.federated_aggregate(readings, 0.0, accumulate, add, lambda total: total)

    fed.compiled(scaled)


@wrong("An aggregation of nothing")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def nothing(readings: Any) -> Any:
        return fed.federated_aggregate(readings, [], lambda total, _: total, lambda a, _: a, lambda _: 1)

    fed.compiled(nothing)


@wrong("A noise whose size comes from the round itself")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def noised(readings: Any) -> Any:
        return fed.federated_noised_sum(readings, fed.federated_max(readings))

    fed.compiled(noised)


@wrong("A bound of a secure sum that the program computes")
def _() -> None:
    @fed.federated_computation(INTS, np.int32)
    def total(readings: Any, bound: Any) -> Any:
        return fed.federated_secure_sum(readings, bound)

    fed.compiled(total)


@wrong("A modulus that the dtype cannot hold")
def _() -> None:
    modulus = np.int64(2**40)
    fed.compiled(fed.federated_computation(INTS)(lambda x: fed.federated_secure_modular_sum(x, modulus)))


@wrong("A loaded computation over sequences")
def _() -> None:
    each = fed.tf_computation(fed.SequenceType(np.float32))(lambda data: data.reduce(0.0, lambda a, x: a + x))
    total = fed.federated_computation(STREAM)(lambda data: fed.federated_sum(fed.federated_map(each, data)))
    fed.compiled(fed.deserialize_computation(fed.serialize_computation(total)))


@wrong("A collection whose name no plan can hold")
def _() -> None:
    fed.on_device("Room temperature")


@wrong("State that is kept over two round trips")
def _() -> None:
    @fed.federated_computation(FLOATS)
    def twice(readings: Any) -> Any:
        mean = fed.federated_broadcast(fed.federated_mean(readings))
        return fed.federated_sum(fed.federated_map_with_state(lambda kept, x: (x, kept), mean, readings))

    with fed.plan_context(), fed.simulation.DeviceStates().of(["roof"]):
        twice([1.0])
