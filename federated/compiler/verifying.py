"""Holds what each pass gives against what the next one builds on. Always on: it costs milliseconds.

    program      every operation has its inputs where it is; what a region holds stays in it; shapes are known
    schedule     every section has what it needs: given, computed in it, or kept from an earlier one
    signatures   each computes what it writes and gives from what it takes and reads; what is read was written before

A user's program cannot break these; where one is broken, the compiler is wrong, and the error says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from federated.compiler.flat import (
    Aggregate,
    Apply,
    Argument,
    Broadcast,
    Constant,
    FlatProgram,
    Fold,
    Formal,
    Operation,
    Region,
    Tensor,
    captures,
    is_constant,
    sources,
)
from federated.compiler.sections import Schedule, Section, reachable
from federated.compiler.signatures import ProgramDraft, Signature
from federated.language.errors import CompilationError
from federated.language.origin import Origin
from federated.language.placements import CLIENTS, SERVER, Placement


def mistake(problem: str, where: Origin | None = None) -> CompilationError:
    """The error for what no program of a user's can cause."""
    return CompilationError(
        f"a mistake of the compiler's own: {problem}", where=where, fix="please report it, with the program"
    )


def verify_program(program: FlatProgram) -> None:
    """Hold a flat program against `federated.compiler.flat`'s description.

    Raises:
        CompilationError: a mistake of the compiler's own.
    """
    for tensor in program.results:
        if tensor.region is not None or tensor.place not in (SERVER, None):
            raise mistake(f"the result has a tensor of {tensor.place}", tensor.operation.origin)
    for before, after in program.kept:
        if after.region is not None or after.place not in (CLIENTS, None) or after.type != before.type:
            raise mistake(f"what clients keep is a {after.type} of {after.place}", after.operation.origin)
    everything = reachable(program.roots, through=True)
    for tensor in everything:
        _verify_tensor(tensor, None)
    for operation in dict.fromkeys(t.operation for t in everything):
        _verify_operation(operation)
        for region in _regions(operation):
            _verify_region(region, operation)


def verify_schedule(sections: Sequence[Section], plan: Schedule) -> None:
    """Hold a schedule against the sections that it is for.

    Raises:
        CompilationError: a mistake of the compiler's own.
    """
    for index, (section, needs) in enumerate(zip(sections, plan.needs, strict=True)):
        if late := [tensor for tensor in needs if plan.homes[tensor] >= index]:
            raise mistake(f"section {index} needs what a later one computes", late[0].operation.origin)
        _verify_computable(f"section {index}", section.roots, {*section.given, *needs})


def verify_signatures(program: ProgramDraft, orders: Iterable[Sequence[str]]) -> None:
    """Hold a program's signatures against each other.

    Args:
        orders: the signatures that share variables, in the order in which a host calls them.

    Raises:
        CompilationError: a mistake of the compiler's own.
    """
    by_name = {signature.name: signature for signature in program.signatures}
    if len(by_name) < len(program.signatures):
        raise mistake(f"two signatures have one name: {', '.join(one.name for one in program.signatures)}")
    for signature in program.signatures:
        known = {*signature.inputs.values(), *signature.reads.values(), *signature.aliases}
        wanted = [*signature.outputs.values(), *signature.writes.values()]
        _verify_computable(f"the signature {signature.name}", wanted, known)
        _verify_variables(signature, program)
    for order in orders:
        written: set[str] = set()
        for signature in (by_name[name] for name in order):
            if early := sorted(signature.reads.keys() - written):
                raise mistake(f"{signature.name} reads {early[0]} before anything has written it")
            written |= signature.writes.keys()


def verify_disjoint(what: str, *groups: Mapping[str, Tensor]) -> None:
    """No two of these have a name in common.

    Raises:
        CompilationError: a mistake of the compiler's own.
    """
    names = [name for group in groups for name in group]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise mistake(f"{what} has two tensors called {twice[0]}")


def _verify_tensor(tensor: Tensor, region: Region | None) -> None:
    if tensor.type.shape is None or None in tensor.type.shape:
        raise mistake(f"the shape of {tensor.type} is not known", tensor.operation.origin)
    if tensor.region is not region and not is_constant(tensor):
        raise mistake(f"a tensor of type {tensor.type} is used outside of its region", tensor.operation.origin)


def _verify_operation(operation: Operation) -> None:
    match operation:
        case Apply(_, inputs, None):
            _verify_inputs(operation, inputs, [None])
        case Apply(_, inputs, place):
            _verify_inputs(operation, inputs, [place, None])
        case Broadcast(source):
            _verify_inputs(operation, [source], [SERVER])
        case Aggregate():
            _verify_inputs(operation, operation.inputs, [CLIENTS, None])
        case Fold(_, zero, body):
            _verify_inputs(operation, [*zero, *captures(body)], [CLIENTS, None])


def _verify_inputs(operation: Operation, inputs: Sequence[Tensor], places: Sequence[Placement | None]) -> None:
    for tensor in inputs:
        is_loose = tensor.place is None and not is_constant(tensor) and not isinstance(tensor.operation, Formal)
        if tensor.place not in places or is_loose:
            kind = type(operation).__name__.lower()
            raise mistake(f"an {kind} takes a tensor of {tensor.place or 'no placement'}", operation.origin)


def _verify_region(region: Region, operation: Operation) -> None:
    inside = {tensor for tensor in _inside(region) if not is_constant(tensor)}
    for tensor in inside - set(captures(region)):
        _verify_tensor(tensor, region)
        _verify_operation(tensor.operation)
        if isinstance(tensor.operation, Formal) and tensor not in region.parameters:
            raise mistake(f"a region holds {tensor.operation.label}, which it does not take", operation.origin)
    if isinstance(operation, Fold):
        starts, ends = [t.type for t in operation.zero], [t.type for t in region.results]
        if starts != ends:
            raise mistake(f"a fold starts from {_listed(starts)} and comes to {_listed(ends)}", operation.origin)
    elif captures(region):
        raise mistake("a function of an aggregation takes something from outside", operation.origin)


def _inside(region: Region) -> Iterator[Tensor]:
    """A region's tensors, and those from outside that it directly uses."""
    seen: set[Tensor] = set()
    waiting = list(region.results)
    while waiting:
        tensor = waiting.pop()
        if tensor not in seen:
            seen.add(tensor)
            yield tensor
            waiting.extend(sources(tensor.operation) if tensor.region is region else ())


def _regions(operation: Operation) -> Iterator[Region]:
    match operation:
        case Fold(_, _, body):
            yield body
        case Aggregate():
            yield from operation.functions.values()


def _verify_computable(what: str, wanted: Sequence[Tensor], known: set[Tensor]) -> None:
    """Everything wanted comes from what is known, by local computations alone."""
    seen: set[Tensor] = set()
    waiting = list(wanted)
    while waiting:
        tensor = waiting.pop()
        if tensor in known or tensor in seen or isinstance(tensor.operation, Constant):
            continue
        seen.add(tensor)
        if not isinstance(tensor.operation, Apply):
            raise mistake(f"{what} has no {_named(tensor.operation)}", tensor.operation.origin)
        waiting.extend(tensor.operation.inputs)


def _verify_variables(signature: Signature, program: ProgramDraft) -> None:
    for name, tensor in [*signature.reads.items(), *signature.writes.items()]:
        if program.variables.get(name) != tensor.type:
            raise mistake(
                f"the variable {name} of {signature.name} is {program.variables.get(name)}, not {tensor.type}"
            )


def _named(operation: Operation) -> str:
    return f"argument {operation.path!r}" if isinstance(operation, Argument) else type(operation).__name__.lower()


def _listed(types: Iterable[object]) -> str:
    return ", ".join(map(str, types)) or "nothing"
