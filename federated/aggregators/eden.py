"""DRIVE and EDEN: 1 to 4 bits an element, after a random rotation that makes every vector look alike.

Vargaftik et al., "DRIVE: One-bit Distributed Mean Estimation" (2021), and "EDEN: Communication-Efficient and Robust
Distributed Mean Estimation for Federated Learning" (2022), Algorithm 1; with b = 1 the two are the same:

    z = R x        c = Q(z √d / ‖x‖)        S = ‖x‖² / ⟨z, c⟩        x̂ = S · R⁻¹ c

R = H D / √d has the Hadamard matrix H and random signs D, which server and client draw from the same key; Q gives the
nearest of the 2^b values that quantise a normal number best (Max, "Quantizing for Minimum Distortion", 1960). With a
uniformly random rotation E x̂ = x; with this one, as in both papers, very nearly.

Departures: a vector is rotated in blocks of 4096 rather than whole, so that nothing is padded to twice its size, at
1/128 bit an element for their scales. A device has no random numbers of its own, so its key is a hash of the vector
with the round's number; as the papers ask, clients have rotations of their own, unless they send nearly the same.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

from federated.aggregators.encoded import encoded_sum, length_of
from federated.aggregators.process import AggregationProcess, check_floats, check_weight
from federated.language.errors import MisuseError
from federated.language.types import Type

_MOST_COLUMNS, _FEWEST_COLUMNS = 4096, 8
_SMALLEST = 1e-30

# The upper half of the best 2^b values for a normal number; the lower half is its mirror.
_CENTROIDS = {
    1: (0.7978845608,),
    2: (0.4527800346, 1.5104176085),
    3: (0.2450941791, 0.7560052812, 1.3439092785, 2.1519457045),
    4: (
        0.1283950299,
        0.3880482995,
        0.6567591185,
        0.9423404565,
        1.2562311973,
        1.6180463860,
        2.0690172265,
        2.7325895710,
    ),
}


@final
@dataclass(frozen=True)
class EdenFactory:
    """The sum of values of so many bits an element.

    Attributes:
        bits: b, from 1 (DRIVE) to 4.
    """

    bits: int = 1
    is_weighted = False

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("EdenFactory", value_type)
        if self.bits not in _CENTROIDS:
            raise MisuseError(f"EdenFactory's bits are from 1 to {max(_CENTROIDS)}, found {self.bits}")
        length, bits = length_of(value_type), self.bits
        columns = _columns(length)
        return encoded_sum(
            value_type, lambda x, t: _encode(x, t, bits, columns), lambda m: _decode(m, bits, columns, length)
        )


def _columns(length: int) -> int:
    """The smallest power of two that holds the vector, within the limits."""
    return min(max(1 << (length - 1).bit_length(), _FEWEST_COLUMNS), _MOST_COLUMNS)


def _encode(vector: Any, round_number: Any, bits: int, columns: int) -> Any:
    from federated.backends.mathematics import cast, maximum, sqrt
    from federated.backends.vectors import blocks, hadamard, key_of, looked_up, packed, random_signs, row_sums

    x = blocks(vector, columns)
    key = key_of(vector, round_number)
    z = hadamard(x * random_signs(x.shape, key))
    squared = row_sums(x * x)
    normal = z * (columns**0.5 / maximum(sqrt(squared), _SMALLEST))
    code = sum(cast(normal > bound, "float32") for bound in _boundaries(bits))
    c = looked_up(_values(bits), code)
    scale = squared / maximum(row_sums(z * c), _SMALLEST)
    return OrderedDict(codes=packed(code, bits), scale=scale, key=key)


def _decode(message: Any, bits: int, columns: int, length: int) -> Any:
    from federated.backends.vectors import hadamard, looked_up, random_signs, unblocked, unpacked

    c = looked_up(_values(bits), unpacked(message["codes"], bits, columns))
    x = hadamard(c * message["scale"]) * random_signs(c.shape, message["key"])
    return unblocked(x, length)


def _values(bits: int) -> tuple[float, ...]:
    upper = _CENTROIDS[bits]
    return (*(-value for value in reversed(upper)), *upper)


def _boundaries(bits: int) -> tuple[float, ...]:
    return tuple((low + high) / 2 for low, high in pairwise(_values(bits)))
