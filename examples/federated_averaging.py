"""Federated averaging, written in the core language: every line of the algorithm is here.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data" (2017). The model is softmax regression, w ← w − η ∇ℓ over a client's batches; the server takes the
mean of the clients' models, weighted by how many examples each has seen.
"""

import collections
from typing import Any

import numpy as np
import tensorflow as tf

import federated as fed

FEATURES, CLASSES = 64, 10

Model = collections.OrderedDict[str, Any]

BATCH_TYPE = fed.to_type(collections.OrderedDict(x=(np.float32, [None, FEATURES]), y=(np.int32, [None])))
MODEL_TYPE = fed.to_type(
    collections.OrderedDict(weights=(np.float32, [FEATURES, CLASSES]), bias=(np.float32, [CLASSES]))
)
INITIAL_MODEL = collections.OrderedDict(
    weights=np.zeros([FEATURES, CLASSES], np.float32), bias=np.zeros([CLASSES], np.float32)
)


def loss_of(model: Model, batch: Model) -> tf.Tensor:
    """The mean cross-entropy ℓ over a batch."""
    logits = tf.matmul(batch["x"], model["weights"]) + model["bias"]
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["y"], logits=logits))


@fed.tf_computation(MODEL_TYPE, BATCH_TYPE, np.float32)
def train_on_batch(model: Model, batch: Model, learning_rate: tf.Tensor) -> Model:
    """One step of gradient descent, w − η ∇ℓ."""
    with tf.GradientTape() as tape:
        tape.watch(model)
        loss = loss_of(model, batch)
    gradient = tape.gradient(loss, model)
    return tf.nest.map_structure(lambda w, g: w - learning_rate * g, model, gradient)


@fed.tf_computation(np.float32, BATCH_TYPE)
def count_batch(seen: tf.Tensor, batch: Model) -> tf.Tensor:
    """How many examples have been seen."""
    return seen + tf.cast(tf.shape(batch["y"])[0], tf.float32)


@fed.federated_computation(MODEL_TYPE, np.float32, fed.SequenceType(BATCH_TYPE))
def train_on_client(model: fed.Value, learning_rate: fed.Value, batches: fed.Value) -> fed.Value:
    """A client's model after all its batches, and its weight."""
    trained = fed.sequence_reduce(batches, model, lambda pair: train_on_batch(pair[0], pair[1], learning_rate))
    return trained, fed.sequence_reduce(batches, np.float32(0), count_batch)


@fed.federated_computation(
    fed.FederatedType(MODEL_TYPE, fed.SERVER),
    fed.FederatedType(np.float32, fed.SERVER),
    fed.FederatedType(fed.SequenceType(BATCH_TYPE), fed.CLIENTS),
)
def train_one_round(model: fed.Value, learning_rate: fed.Value, data: fed.Value) -> fed.Value:
    """`(<model=M@SERVER,learning_rate=float32@SERVER,data={B*}@CLIENTS> -> M@SERVER)`: the next model."""
    at_clients = fed.federated_broadcast(model), fed.federated_broadcast(learning_rate)
    trained, examples = fed.federated_map(train_on_client, (*at_clients, data))
    return fed.federated_mean(trained, weight=examples)


@fed.tf_computation(MODEL_TYPE, BATCH_TYPE)
def loss_on_batch(model: Model, batch: Model) -> tf.Tensor:
    """The mean cross-entropy ℓ over a batch."""
    return loss_of(model, batch)


@fed.tf_computation
def add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Their sum."""
    return a + b


@fed.federated_computation(
    fed.FederatedType(MODEL_TYPE, fed.SERVER), fed.FederatedType(fed.SequenceType(BATCH_TYPE), fed.CLIENTS)
)
def evaluate(model: fed.Value, data: fed.Value) -> fed.Value:
    """`(<model=M@SERVER,data={B*}@CLIENTS> -> float32@SERVER)`: the clients' mean of their batches' losses' sum."""

    def total_loss(client: fed.Value) -> fed.Value:
        own_model, batches = client
        losses = fed.sequence_map(lambda batch: loss_on_batch(own_model, batch), batches)
        return fed.sequence_reduce(losses, np.float32(0), add)

    return fed.federated_mean(fed.federated_map(total_loss, (fed.federated_broadcast(model), data)))


def synthetic_clients(clients: int = 3, batches: int = 4, batch_size: int = 16) -> list[list[Model]]:
    """Clients with batches of noisy examples, each client with classes of its own."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, FEATURES))

    def batch(client: int) -> Model:
        y = random.integers(CLASSES, size=batch_size) * (client + 1) % CLASSES
        x = centres[y] + random.normal(size=(batch_size, FEATURES))
        return collections.OrderedDict(x=x.astype(np.float32), y=y.astype(np.int32))

    return [[batch(client) for _ in range(batches)] for client in range(clients)]


if __name__ == "__main__":
    data = synthetic_clients()
    current = INITIAL_MODEL
    for number in range(1, 6):
        print(f"round {number}: loss {evaluate(current, data):.4f}")
        current = train_one_round(current, 0.05, data)
