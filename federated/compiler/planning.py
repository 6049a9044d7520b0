"""The last pass: the manifest, and the plan with its two programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from federated.compiler.aggregations import aggregations_of, with_noise
from federated.compiler.client_part import ClientPart, PassDraft, client_part
from federated.compiler.collections import Collections
from federated.compiler.flat import Argument, FlatProgram, Tensor
from federated.compiler.naming import leaf_paths
from federated.compiler.parameters import parts_of, result_tensors, state_tensors
from federated.compiler.phases import phases_of, second_trip
from federated.compiler.ports import example_port, port
from federated.compiler.server_part import ServerPhase, Trip, server_part
from federated.compiler.signatures import ProgramDraft
from federated.compiler.verifying import mistake, verify_signatures
from federated.language.errors import CompilationError, NothingForDevicesError
from federated.language.placements import SERVER
from federated.language.types import FunctionType
from plans import consistency, manifest
from plans.bundle import Plan
from plans.errors import PlanError
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Group,
    Manifest,
    Pass,
    Phase,
    Port,
    ResultTensor,
    Role,
    StateTensor,
    Work,
)
from wire.tensors import Array

WORK = "compute"


class Writer(Protocol):
    """Writes a program as a TFLite file; `federated.backends` has one."""

    def write(self, program: ProgramDraft) -> bytes:
        """The file of a program.

        Raises:
            CompilationError: an operation has no form that devices have.
        """
        ...


@dataclass(frozen=True)
class Draft:
    """A plan before its programs are written."""

    manifest: Manifest
    client: ProgramDraft
    server: ProgramDraft


def draft_plan(program: FlatProgram, type_: FunctionType, name: str, root: str, collections: Collections) -> Draft:
    """The manifest and the two programs of a flat program.

    Args:
        type_: the computation's type, with every shape known.
        root: what its parameter is called where it is no structure.
        collections: where on a device the examples of each client parameter are.

    Raises:
        NothingForDevicesError: nothing in it runs on devices.
        CompilationError: a tensor is of a dtype that devices do not have.
    """
    found = phases_of(program)
    if not found:
        raise NothingForDevicesError(
            f"the result of {name!r} needs no aggregate, so no device has anything to do",
            fix="run it in the local context",
        )
    drafts = [aggregations_of(phase.aggregates, _suffix(number)) for number, phase in enumerate(found)]
    _check_kept(program)
    clients = [
        client_part(draft.updates, _suffix(number), collections, program.kept) for number, draft in enumerate(drafts)
    ]
    trips = [Trip(client, draft.sums, draft.known) for client, draft in zip(clients, drafts, strict=True)]
    state = {
        label: (path, Tensor(Argument(path, path, SERVER), 0, leaf))
        for label, path, leaf in state_tensors(type_.parameter, root)
    }
    results = {
        label: (path, tensor)
        for (label, path, _), tensor in zip(result_tensors(type_.result), program.results, strict=True)
    }
    server = server_part(
        {label: tensor for label, (_, tensor) in state.items()},
        trips,
        {label: tensor for label, (_, tensor) in results.items()},
        [signature for draft in drafts for signature in draft.signatures],
    )
    _check_collections(type_, root, collections)
    names = {tensor: label for label, (_, tensor) in state.items()}
    works = []
    for client, sums, phase in zip(clients, drafts, server.phases, strict=True):
        names |= {tensor: label for label, tensor in phase.temp.items()}
        works.append(_work(client, with_noise(sums, names), phase, collections))
        names |= {tensor: label for label, tensor in phase.carried.items()}
    works[-1] = _with_result(works[-1], {k: ResultTensor(port(t), path) for k, (path, t) in results.items()})
    record = Manifest(
        FORMAT_VERSION,
        name,
        str(type_),
        {label: StateTensor(port(tensor), Group.OTHER, path) for label, (path, tensor) in state.items()},
        tuple(Phase({WORK: work}) for work in works),
        manifest.features_of(*works),
    )
    variables = {label: kind for client in clients for label, kind in client.program.variables.items()}
    signatures = tuple(signature for client in clients for signature in client.program.signatures)
    draft = Draft(record, ProgramDraft(signatures, variables), server.program)
    _verify(draft, clients)
    return draft


def write_plan(draft: Draft, writer: Writer, initial: Mapping[str, Array]) -> Plan:
    """The plan of a draft, with the server's arguments as its first state."""
    return Plan(draft.manifest, writer.write(draft.client), writer.write(draft.server), dict(initial))


def _work(client: ClientPart, entries: tuple[Aggregation, ...], phase: ServerPhase, collections: Collections) -> Work:
    return Work(
        role=Role.ANALYTICS,
        begin=client.begin,
        finish=client.finish,
        broadcast=_ports(client.broadcast),
        metrics={},
        prepare=phase.prepare,
        passes=tuple(_pass(one, collections) for one in client.passes),
        update=_ports(client.updates),
        update_state=phase.update,
        aggregation=entries,
        device_state=_ports(client.kept),
        temp=_ports(phase.temp),
        carried=_ports(phase.carried),
    )


def _check_kept(program: FlatProgram) -> None:
    trip = second_trip(program)
    if program.kept and trip is not None:
        raise CompilationError(
            "clients keep state here, and what is broadcast comes from an aggregate of the same computation: state is "
            "kept in one round trip",
            where=getattr(trip.operation, "origin", None),
            fix="make two computations of it, and pass what the first gives to the second",
        )


def _verify(draft: Draft, clients: Sequence[ClientPart]) -> None:
    verify_signatures(draft.client, [client.order for client in clients])
    verify_signatures(draft.server, [])
    try:
        consistency.check(draft.manifest)
    except PlanError as error:
        raise mistake(str(error)) from error


def _with_result(work: Work, result: Mapping[str, ResultTensor]) -> Work:
    return Work(**{**vars(work), "result": dict(result)})


def _pass(one: PassDraft, collections: Collections) -> Pass:
    paths = {name: path for name, (path, _) in one.inputs.items()}
    selector = collections.selector(one.owner, paths, is_sequence=one.is_sequence)
    is_batch = one.is_sequence and collections.of(one.owner).batch_size is not None
    weight = collections.weight_input(one.owner, paths) if is_batch else None
    inputs = {
        name: example_port(type_, path, is_batch=is_batch)
        for name, (path, type_) in one.inputs.items()
        if name != weight
    }
    return Pass(one.step, inputs, selector, example_weight=weight, open=one.open)


def _check_collections(type_: FunctionType, root: str, collections: Collections) -> None:
    parts = [part for part in parts_of(type_.parameter, root) if part.is_clients]
    if unknown := sorted(collections.bound.keys() - {part.path for part in parts}):
        known = ", ".join(part.path for part in parts) or "none"
        raise CompilationError(f"{unknown[0]!r} is bound to a collection, but the client parameters are {known}")
    for part in parts:
        collections.check_fields(part.path, [path for path, _ in leaf_paths(part.example, part.path)])


def _ports(tensors: Mapping[str, Tensor]) -> dict[str, Port]:
    return {name: port(tensor) for name, tensor in tensors.items()}


def _suffix(number: int) -> str:
    return "" if number == 0 else f"_{number + 1}"
