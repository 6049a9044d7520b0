"""The entries of a plan for a phase's aggregates, with the names of what clients contribute and what comes of it.

Sums are wide: exact, whatever the values, and free of any order; those with noise are of 64 bits. A tensor that is
aggregated twice is contributed twice, because each of an update's tensors belongs to one entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from federated.compiler.flat import Aggregate, Constant, Tensor
from federated.compiler.ports import port
from federated.compiler.server_part import custom_signatures
from federated.compiler.signatures import Signature
from federated.language.noising import FRACTION_BITS
from plans.manifest import WIDE_BITS, WIDE_FRACTION_BITS, Aggregation, Kind, Step


@dataclass(frozen=True)
class AggregationDraft:
    """A phase's aggregations.

    Attributes:
        updates: what clients contribute, by name.
        sums: what comes of it, by name.
        signatures: those of custom aggregations, for the server.
        noises: what the noises of entries go by, by the entries' names.
    """

    entries: tuple[Aggregation, ...]
    updates: dict[str, Tensor]
    sums: dict[str, Tensor]
    signatures: tuple[Signature, ...]
    noises: dict[str, "NoiseDraft"]

    @property
    def known(self) -> tuple[Tensor, ...]:
        """The server's tensors that have to be there before the round."""
        tensors = [tensor for noise in self.noises.values() for tensor in (noise.stddev, noise.earlier)]
        return tuple(dict.fromkeys(tensor for tensor in tensors if tensor is not None))


@dataclass(frozen=True)
class NoiseDraft:
    """The noise of an entry: its standard deviation, and for a correlated one what is taken away from the sum."""

    stddev: Tensor
    earlier: Tensor | None


def aggregations_of(aggregates: Sequence[Aggregate], suffix: str) -> AggregationDraft:
    """The entries for some aggregates."""
    entries: list[Aggregation] = []
    updates: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    signatures: list[Signature] = []
    noises: dict[str, NoiseDraft] = {}
    for number, aggregate in enumerate(aggregates):
        # Two underscores never come from a path, so no argument of the server's is called so.
        name = f"{aggregate.kind.value}__{number}{suffix}"
        given = {f"{name}_{index}": tensor for index, tensor in enumerate(aggregate.inputs)}
        updates |= given
        entries += _entries(name, aggregate, tuple(given))
        if aggregate.stddev is not None:
            earlier = aggregate.earlier or [None] * len(given)
            noises |= {label: NoiseDraft(aggregate.stddev, one) for label, one in zip(given, earlier, strict=True)}
            drawn = [Tensor(aggregate, len(given) + i, t.type) for i, t in enumerate(aggregate.earlier)]
            sums |= {_drawn(label): tensor for label, tensor in zip(given, drawn, strict=False)}
        if aggregate.kind is Kind.CUSTOM:
            signatures += custom_signatures(name, aggregate)
            results = aggregate.functions["report"].results
            sums |= {f"{name}_result_{i}": Tensor(aggregate, i, tensor.type) for i, tensor in enumerate(results)}
        else:
            sums |= {label: Tensor(aggregate, i, t.type) for i, (label, t) in enumerate(given.items())}
    return AggregationDraft(tuple(entries), updates, sums, tuple(signatures), noises)


def with_noise(draft: AggregationDraft, names: Mapping[Tensor, str]) -> tuple[Aggregation, ...]:
    """The entries, each that is to be noised with the step for it.

    Args:
        names: what the server's tensors are called that are there before the round.
    """

    def noised(entry: Aggregation, noise: NoiseDraft) -> Aggregation:
        operation = noise.stddev.operation
        size = float(operation.value) if isinstance(operation, Constant) else names[noise.stddev]
        parameters: dict[str, float | str] = {"stddev": size}
        if noise.earlier is not None:
            parameters |= {"earlier": names[noise.earlier], "drawn": _drawn(entry.name)}
        return replace(entry, steps=(Step("noise", parameters),))

    return tuple(
        noised(entry, draft.noises[entry.name]) if entry.name in draft.noises else entry for entry in draft.entries
    )


def _drawn(label: str) -> str:
    return f"{label}_noise"


def _entries(name: str, aggregate: Aggregate, given: tuple[str, ...]) -> list[Aggregation]:
    match aggregate.kind:
        case Kind.MEAN:
            return [
                Aggregation(
                    name,
                    Kind.MEAN,
                    given[:-1],
                    weight=given[-1],
                    bits=WIDE_BITS,
                    fraction_bits=WIDE_FRACTION_BITS,
                    on_zero_weight=aggregate.on_zero_weight,
                )
            ]
        case Kind.MEDIAN | Kind.TRIMMED_MEAN | Kind.KRUM | Kind.GEOMETRIC_MEDIAN:
            # One entry for all tensors: they are one vector, by which clients are told apart.
            return [
                Aggregation(name, aggregate.kind, given[:-1], weight=given[-1], parameters=dict(aggregate.parameters))
            ]
        case Kind.CUSTOM:
            return [_custom(name, aggregate, given)]
    return [
        _entry(label, aggregate, tensor, index)
        for index, (label, tensor) in enumerate(zip(given, aggregate.values, strict=True))
    ]


def _entry(label: str, aggregate: Aggregate, tensor: Tensor, index: int) -> Aggregation:
    """An entry of one tensor."""
    match aggregate.kind:
        case Kind.SUM if aggregate.stddev is not None:
            return Aggregation(label, Kind.SUM, (label,), fraction_bits=FRACTION_BITS)
        case Kind.SUM:
            fraction_bits = WIDE_FRACTION_BITS if tensor.type.dtype.kind == "f" else 0
            return Aggregation(label, Kind.SUM, (label,), bits=WIDE_BITS, fraction_bits=fraction_bits)
        case Kind.MODULAR_SUM:
            return Aggregation(label, aggregate.kind, (label,), fraction_bits=0, modulus=aggregate.limits[index])
        case Kind.SECURE_SUM:
            return Aggregation(label, aggregate.kind, (label,), fraction_bits=0, bound=aggregate.limits[index])
    return Aggregation(label, aggregate.kind, (label,))


def _custom(name: str, aggregate: Aggregate, given: tuple[str, ...]) -> Aggregation:
    totals = aggregate.functions["zero"].results
    results = aggregate.functions["report"].results
    return Aggregation(
        name,
        Kind.CUSTOM,
        given,
        signatures={part: f"{name}_{part}" for part in ("zero", "accumulate", "merge", "report")},
        accumulator={f"{name}_total_{index}": port(tensor) for index, tensor in enumerate(totals)},
        result={f"{name}_result_{index}": port(tensor) for index, tensor in enumerate(results)},
    )
