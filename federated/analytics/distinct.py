"""How many different items all clients have together: HyperLogLog, of which one register file leaves a client.

Each item is hashed twice. One hash chooses one of m = 2^p registers, which keeps the largest ρ, the position of the
first 1 in the other. Registers of many clients merge by their maximum. The estimate is α_m m² / Σ_j 2^−M_j, and
for small counts m ln(m / V), with V the registers that are still 0.

Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"
(2007), Figure 3, where one longer hash is cut in two. The standard error is 1.04 / √m. With 24 bits for ρ it is meant
for up to 10⁸ items.
"""

import math
from typing import Any

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import federated_map, federated_max, sequence_reduce
from federated.language.origin import here
from federated.language.placements import CLIENTS
from federated.language.types import FederatedType, SequenceType, TensorType

_BITS = 24  # of a hash
_WHERE, _HOW_FAR = 0x2545F491, 0x5851F42D  # two hashes by two salts


def build_distinct_count(precision: int = 10) -> Computation:
    """`({int32*}@CLIENTS -> float32@SERVER)`: about how many different items there are.

    Args:
        precision: p, from 4 to 14; 2^p registers of 4 bytes leave a client, and the error is 1.04 / 2^(p/2).

    Raises:
        MisuseError: another precision.
    """
    if not 4 <= precision <= 14:  # noqa: PLR2004 - the paper's range, and what a device sends gladly
        raise MisuseError(f"a precision is from 4 to 14, found {precision}", where=here())
    m = 1 << precision
    registers_type = TensorType(np.int32, [m])

    @tf_computation(registers_type, np.int32)
    def count(registers: Any, item: Any) -> Any:
        from federated.backends.mathematics import cast, floor, hashed, maximum, one_hot

        register = cast(floor(hashed(item, _WHERE) * float(m)), "int32")
        fraction = hashed(item, _HOW_FAR)
        # The first 1 of a binary fraction is at k + 1 where it is below 2^-k and not below 2^-(k + 1).
        position = sum((cast(fraction < 2.0**-k, "int32") for k in range(1, _BITS + 1)), cast(1, "int32"))
        return maximum(registers, cast(one_hot(register, m), "int32") * position)

    @tf_computation(registers_type)
    def estimate(registers: Any) -> Any:
        from federated.backends.mathematics import cast, log, maximum, total, where

        raw = _alpha(m) * m * m / total(2.0 ** (-cast(registers, "float32")))
        empty = total(cast(registers <= 0, "float32"))
        small = m * log(m / maximum(empty, 1.0))
        is_small = (raw <= 2.5 * m) & (empty > 0)
        return where(is_small, small, raw)

    @federated_computation(FederatedType(SequenceType(np.int32), CLIENTS))
    def distinct_count(data: Any) -> Any:
        zero = np.zeros(m, np.int32)
        registers = federated_map(lambda items: sequence_reduce(items, zero, count), data)
        return federated_map(estimate, federated_max(registers))

    return distinct_count


def _alpha(m: int) -> float:
    """The paper's α_m."""
    known = {16: 0.673, 32: 0.697, 64: 0.709}
    return known.get(m, 0.7213 / (1 + 1.079 / m))


def standard_error(precision: int) -> float:
    """The relative standard error of a precision."""
    return 1.04 / math.sqrt(1 << precision)
