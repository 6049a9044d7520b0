"""What may be given for the clients of a round: lists, data sets and cohorts; and what is said of anything else."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import ValueMismatchError
from federated.learning.batches import ExampleBatches, batches_of
from wire.tensors import Array

BATCH = np.zeros((3, 4), np.float32), np.array([0, 1, 2], np.int32)


def test_a_generator_of_clients_is_refused_before_it_is_read() -> None:
    """It can be neither counted nor gone through twice, and whoever gives one does not want it all in memory."""
    read = []

    def clients() -> Iterator[list[tuple[Array, Array]]]:
        read.append("one")
        yield [BATCH]

    with pytest.raises(ValueMismatchError, match=r"(?s)expected a list of clients, found a generator\n.*\.cohort\("):
        batches_of(clients())
    assert not read


def test_a_client_may_be_a_generator_of_batches() -> None:
    clients = batches_of([iter([BATCH, BATCH]), iter([BATCH])])
    assert len(clients) == 2


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        (3, "expected a list of clients, found a int"),
        ({"ann": [BATCH]}, "expected a list of clients, found a dict"),
        (fed.simulation.datasets.from_function(["ann"], lambda _: BATCH), "found a ClientData"),
        ([BATCH], r"client 0, batch 0: expected \(x, y\), found a ndarray"),
        ([3], r"client 0: expected batches \(x, y\), found a int"),
        ([[(*BATCH, BATCH[1])]], r"client 0, batch 0: expected \(x, y\), found 3 elements"),
    ],
)
def test_what_is_no_list_of_clients_is_told_what_a_round_takes(clients: Any, message: str) -> None:
    with pytest.raises(ValueMismatchError, match=rf"(?s){message}.*a round takes a list of clients"):
        batches_of(clients)


def test_examples_that_are_in_no_batch_are_told_how_they_come_into_one() -> None:
    one = BATCH[0][0], BATCH[1][0]
    with pytest.raises(ValueMismatchError, match=r"(?s)x has the shape \[4\] and y \[\].*a method batch"):
        batches_of([[one]])


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ([], "there are no clients"),
        ([[], [], ExampleBatches(BATCH[0][:0], BATCH[1][:0], 4)], "the 3 clients have no examples"),
    ],
)
def test_a_round_of_nobody_is_refused(clients: list[Any], message: str) -> None:
    with pytest.raises(ValueMismatchError, match=message):
        batches_of(clients)


@pytest.mark.tensorflow
def test_data_sets_are_the_batches_that_they_give_short_ones_too() -> None:
    import tensorflow as tf

    x = np.arange(28, dtype=np.float32).reshape(7, 4)
    y = np.arange(7, dtype=np.int32) % 3
    member = fed.SequenceType(
        [("x", fed.TensorType(np.float32, [None, 4])), ("y", fed.TensorType(np.int32, [None])),
         ("weight", fed.TensorType(np.float32, [None]))]
    )  # fmt: skip
    data_sets = [
        tf.data.Dataset.from_tensor_slices((x, y)).batch(3),
        tf.data.Dataset.from_tensor_slices((x, y)).batch(2),
    ]
    read = list(batches_of(data_sets).typed(member))
    assert [client.batch_size for client in read] == [3, 3]
    for client in read:
        weight = client.leaves[2].astype(bool)
        np.testing.assert_array_equal(client.leaves[0][weight], x)
        np.testing.assert_array_equal(client.leaves[1][weight], y)
