"""What plans can hold and a fleet does not run yet, refused before any device has heard of it."""

from federated.compiler.flat import Aggregate, FlatProgram
from federated.compiler.phases import phases_of, second_trip
from federated.compiler.sections import reachable
from federated.language.errors import CompilationError
from plans.manifest import Kind

_SECURE = (Kind.SECURE_SUM, Kind.MODULAR_SUM)


def check_for_fleet(program: FlatProgram) -> None:
    """Refuse a program that needs several round trips, a secure sum, or noise that is remembered.

    Raises:
        CompilationError: naming the line.
    """
    for phase in phases_of(program):
        for aggregate in phase.aggregates:
            if aggregate.kind in _SECURE:
                raise CompilationError(
                    f"{aggregate.name} would be computed from updates that the orchestrator can read: "
                    "there is no secure aggregation yet",
                    where=aggregate.origin,
                    fix="use fed.federated_sum if the orchestrator may see each update",
                )
            if aggregate.earlier:
                raise CompilationError(
                    f"{aggregate.name} is told the noise of earlier rounds, and an argument travels with the plan that "
                    "devices read",
                    where=aggregate.origin,
                    fix="use fed.federated_noised_sum, whose noise nobody remembers",
                )
    trip = second_trip(program)
    if trip is not None:
        came_from = next(t.operation for t in reachable([trip], through=True) if isinstance(t.operation, Aggregate))
        raise CompilationError(
            f"what is broadcast here comes from {came_from.name} in the same computation ({came_from.origin}), which "
            "takes a second round trip with the same devices; a fleet holds one",
            where=getattr(trip.operation, "origin", None),
            fix="make two computations of it, and pass what the first gives to the second",
        )
