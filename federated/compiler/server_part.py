"""What the server does in each phase: `prepare` before it, `update` after it, and the functions of its aggregations.

The server's arguments are its state, there in every signature. What `prepare` computes and `update` needs travels
beside the round (`temp`); what an `update` leaves for later phases is `carried` to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federated.compiler.client_part import ClientPart
from federated.compiler.flat import Aggregate, Broadcast, Tensor
from federated.compiler.sections import Section, schedule
from federated.compiler.signatures import ProgramDraft, Signature
from federated.compiler.verifying import verify_disjoint, verify_schedule

SUM_PREFIX = "sum_"


@dataclass(frozen=True)
class ServerPhase:
    """A phase's signatures on the server.

    Attributes:
        temp: what `prepare` gives for `update` alone.
        carried: what `update` gives to the next phase.
    """

    prepare: str
    update: str
    temp: dict[str, Tensor]
    carried: dict[str, Tensor]


@dataclass(frozen=True)
class ServerPart:
    """All phases, and the program that holds their signatures."""

    phases: tuple[ServerPhase, ...]
    program: ProgramDraft


@dataclass(frozen=True)
class Trip:
    """What a phase means to the server: what it sends, and what comes back by the names that `update` takes.

    Attributes:
        known: what the noises of the sums go by; it is there before them.
    """

    client: ClientPart
    sums: Mapping[str, Tensor]
    known: tuple[Tensor, ...] = ()


def server_part(
    state: Mapping[str, Tensor], trips: Sequence[Trip], results: Mapping[str, Tensor], aggregates: Sequence[Signature]
) -> ServerPart:
    """The server's signatures.

    Args:
        state: the server's arguments, by name.
        results: what the last `update` gives, by name; it gives the state unchanged as well.
        aggregates: the signatures of custom aggregations.
    """
    sections = []
    for number, trip in enumerate(trips):
        is_last = number == len(trips) - 1
        given = tuple(state.values()) if number == 0 else ()
        sections.append(Section(given, (*_sent(trip), *trip.known)))
        ends = tuple(results.values()) if is_last else ()
        sections.append(Section(tuple(trip.sums.values()), (*ends, *trip.known)))
    plan = schedule(sections)
    verify_schedule(sections, plan)
    own = set(state.values())
    phases: list[ServerPhase] = []
    signatures: list[Signature] = []
    carried: dict[str, Tensor] = {}
    for number, trip in enumerate(trips):
        suffix = "" if number == 0 else f"_{number + 1}"
        temp = _named(
            f"t__{number}_", [t for t in plan.crossing(2 * number + 1) if t not in own | set(carried.values())]
        )
        kept = _named(f"k__{number}_", [t for t in plan.crossing(2 * number + 2) if t not in own])
        phase = ServerPhase(f"prepare{suffix}", f"update{suffix}", temp, kept)
        taken = {**state, **carried}
        sent = {name: source(tensor) for name, tensor in trip.client.broadcast.items()}
        signatures.append(Signature(phase.prepare, inputs=taken, outputs={**sent, **temp}))
        sums = {SUM_PREFIX + name: tensor for name, tensor in trip.sums.items()}
        verify_disjoint(phase.update, state, carried, temp, sums)
        given_back = {**state, **results} if number == len(trips) - 1 else kept
        signatures.append(Signature(phase.update, inputs={**taken, **temp, **sums}, outputs=given_back))
        phases.append(phase)
        carried = kept
    return ServerPart(tuple(phases), ProgramDraft((*signatures, *aggregates)))


def custom_signatures(name: str, aggregate: Aggregate) -> tuple[Signature, ...]:
    """The signatures of a custom aggregation; `plans.manifest.Aggregation` says what they take and give."""
    accumulate, merge = aggregate.functions["accumulate"], aggregate.functions["merge"]
    report, zero = aggregate.functions["report"], aggregate.functions["zero"]
    count = len(zero.results)
    accumulator = [f"{name}_total_{index}" for index in range(count)]
    values = [f"value_{name}_{index}" for index in range(len(aggregate.values))]
    others = [f"other_{total}" for total in accumulator]
    results = [f"{name}_result_{index}" for index in range(len(report.results))]

    def signature(
        part: str, inputs: Sequence[str], parameters: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> Signature:
        names = results if part == "report" else accumulator
        return Signature(
            f"{name}_{part}",
            inputs=dict(zip(inputs, parameters, strict=True)),
            outputs=dict(zip(names, outputs, strict=True)),
        )

    return (
        signature("zero", [], [], zero.results),
        signature("accumulate", [*accumulator, *values], accumulate.parameters, accumulate.results),
        signature("merge", [*accumulator, *others], merge.parameters, merge.results),
        signature("report", accumulator, report.parameters, report.results),
    )


def source(tensor: Tensor) -> Tensor:
    """The server's tensor that a broadcast one is."""
    assert isinstance(tensor.operation, Broadcast)  # noqa: S101 - clients take nothing else from the server
    return tensor.operation.source


def _sent(trip: Trip) -> tuple[Tensor, ...]:
    return tuple(source(tensor) for tensor in trip.client.broadcast.values())


def _named(stem: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{stem}{index}": tensor for index, tensor in enumerate(tensors)}
