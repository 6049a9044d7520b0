"""Wide sums as a simulation makes them: those of models twenty times as fast as `plans.accumulators.wide`.

    integers, and up to 64 elements     exact, rounded once
    up to 16,384 elements               float64, and beside it what each addition lost, by Knuth's TwoSum: of the sum
                                        2⁻¹⁰⁵ is missing, which rounds to the same float32
    more                                float64: 2⁻⁵³ is missing, which rounds to the float32 beside in about one
                                        element of ten million

The clients are added in their order, so the same cohort gives the same bits every time. The figures, and why, stand in
docs/decisions/0019-simulation-runs-the-plan.md.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np

from federated.language.errors import ExecutionError
from federated.language.summing import exact_sum
from plans.accumulators.wide import WideSum
from plans.errors import ContributionError
from plans.manifest import Port
from wire.errors import ErrorCode
from wire.tensors import Array, Tensors

_FEW = 64
_COMPENSATED = 16_384


class SimulatedSum:
    """The running sums of some tensors; see the module's description."""

    def __init__(self, ports: Mapping[str, Port]) -> None:
        floats = {name: port for name, port in ports.items() if np.dtype(port.spec.dtype).kind == "f"}
        sizes = {name: int(np.prod(port.spec.shape)) for name, port in floats.items()}
        self._ports = ports
        self._integers = WideSum({name: port for name, port in ports.items() if name not in floats})
        self._kept: dict[str, list[Array]] = {name: [] for name, size in sizes.items() if size <= _FEW}
        self._large: dict[str, PlainSum | CompensatedSum] = {
            name: PlainSum(size) if size > _COMPENSATED else CompensatedSum(size)
            for name, size in sizes.items()
            if size > _FEW
        }

    def accumulate(self, update: Tensors) -> None:
        """Add an update's tensors."""
        self._integers.accumulate(update)
        for name, values in self._kept.items():
            values.append(update[name])
        for name, total in self._large.items():
            total.add(update[name].ravel())

    def merge(self, other: Self) -> None:
        """Add the sums of other updates."""
        self._integers.merge(other._integers)
        for name, values in self._kept.items():
            values.extend(other._kept[name])
        for name, total in self._large.items():
            for part in other._large[name].parts:
                total.add(part)

    def finalize(self) -> dict[str, Array]:
        """The sums in the tensors' own dtypes.

        Raises:
            ContributionError: a sum does not fit its dtype.
        """
        sums = self._integers.finalize()
        for name, values in self._kept.items():
            sums[name] = _exact(name, values, self._ports[name])
        for name, total in self._large.items():
            sums[name] = _rounded(name, total, self._ports[name])
        return {name: sums[name] for name in self._ports}


class PlainSum:
    """A sum of vectors in float64."""

    def __init__(self, size: int) -> None:
        self.parts = (np.zeros(size),)

    def add(self, values: Array) -> None:
        """Add a vector."""
        np.add(self.parts[0], values, out=self.parts[0])


class CompensatedSum:
    """A sum of vectors, with what its roundings lost: s = a + v, e = (a − (s − t)) + (v − t) where t = s − a.

    Knuth, "The Art of Computer Programming", volume 2, section 4.2.2, theorem B.
    """

    def __init__(self, size: int) -> None:
        self.parts = np.zeros(size), np.zeros(size)

    def add(self, values: Array) -> None:
        """Add a vector."""
        a, errors = self.parts
        v = values.astype(np.float64)
        s = a + v
        t = s - a
        errors += (a - (s - t)) + (v - t)
        a[:] = s


def _exact(name: str, values: list[Array], port: Port) -> Array:
    column = np.array(values, port.spec.dtype).reshape(len(values), *port.spec.shape)
    try:
        return exact_sum(column)
    except ExecutionError as error:
        raise _unfit(name, port) from error


def _rounded(name: str, total: PlainSum | CompensatedSum, port: Port) -> Array:
    with np.errstate(over="ignore"):
        rounded: Array = sum(total.parts[1:], total.parts[0]).astype(port.spec.dtype)
    if not np.isfinite(rounded).all():
        raise _unfit(name, port)
    return rounded.reshape(port.spec.shape)


def _unfit(name: str, port: Port) -> ContributionError:
    return ContributionError(ErrorCode.OUT_OF_RANGE, f"the sum of tensor {name!r} does not fit {port.spec.dtype}")
