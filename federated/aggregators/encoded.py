"""A sum of values that cross the network encoded: Σ_k decode(encode(v_k)), as one aggregation of the server's own.

All tensors of a value are encoded as one float32 vector. The server decodes one client's message after the other, in
the order of their assignments, and adds in float32: what arrives is approximate, so the sum need not be exact.

With *error feedback* a client keeps what its message lacks, and adds it to its next value (Stich, Cordonnier and Jaggi,
"Sparsified SGD with Memory", 2018, Algorithm 1; Seide et al., "1-Bit Stochastic Gradient Descent", 2014):

    p = e + v        message = encode(p)        e ← p − decode(message)
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from federated.aggregators.process import AggregationProcess, MeasuredProcessOutput, aggregation_process, nothing
from federated.backends.tf_computation import tf_computation
from federated.language.computation import federated_computation
from federated.language.containers import leaf_types, leaves, pack
from federated.language.operators import (
    federated_aggregate,
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_map_with_state,
    federated_value,
    federated_zip,
)
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import StructType, TensorType, Type

Encode = Callable[[Any, Any], Any]
"""From a vector, float32[d], and the number of the round, to a message: a structure of tensors."""

Decode = Callable[[Any], Any]
"""From a message to a vector."""


def encoded_sum(
    value_type: Type, encode: Encode, decode: Decode, *, error_feedback: bool = False
) -> AggregationProcess:
    """The aggregator, whose state is the number of the round; with error feedback, clients keep e."""
    types = [leaf for _, leaf in leaf_types(value_type)]
    length = length_of(value_type)

    @tf_computation(value_type, np.int32)
    def encoded(value: Any, round_number: Any) -> Any:
        from federated.backends.vectors import flat

        return encode(flat(leaves(value_type, value)), round_number)

    vector_type = TensorType(np.float32, [length])

    @tf_computation
    def no_error() -> Any:
        from federated.backends.vectors import zeros

        return zeros(length)

    @tf_computation(vector_type, StructType([value_type, TensorType(np.int32)]))
    def encoded_with_error(e: Any, own: Any) -> Any:
        from federated.backends.vectors import flat

        p = e + flat(leaves(value_type, own[0]))
        message = encode(p, own[1])
        return p - decode(message), message

    @tf_computation(vector_type, encoded.type_signature.result)
    def accumulate(total: Any, message: Any) -> Any:
        return total + decode(message)

    @tf_computation(vector_type, vector_type)
    def merge(total: Any, other: Any) -> Any:
        return total + other

    @tf_computation(vector_type)
    def report(total: Any) -> Any:
        from federated.backends.vectors import unflat

        return pack(value_type, unflat(total, types))

    def next_round(state: Any, value: Any) -> Any:
        own = federated_zip((value, federated_broadcast(state)))
        if error_feedback:
            messages = federated_map_with_state(encoded_with_error, federated_eval(no_error, CLIENTS), own)
        else:
            messages = federated_map(encoded, own)
        zero = np.zeros(length, np.float32)
        total = federated_aggregate(messages, zero, accumulate, merge, report)
        return MeasuredProcessOutput(federated_map(_following, state), total, nothing())

    return aggregation_process(_first_round, next_round, value_type, None)


def length_of(value_type: Type) -> int:
    """How many elements a value has."""
    return sum(math.prod(size or 0 for size in leaf.shape or ()) for _, leaf in leaf_types(value_type))


@federated_computation
def _first_round() -> Any:
    return federated_value(np.int32(1), SERVER)


@tf_computation
def _following(round_number: Any) -> Any:
    return round_number + 1
