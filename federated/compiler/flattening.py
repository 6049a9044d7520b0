"""The first pass: a computation becomes a flat program, from its parameter's tensors to its result's."""

from federated.compiler.flat import Argument, FlatProgram, Stream, Tensor
from federated.compiler.inlining import Inlining, Streamed, Symbol, flat, unflat
from federated.compiler.library import Library
from federated.compiler.naming import deeper, leaf_paths
from federated.compiler.operating import OPERATIONS
from federated.language.errors import CompilationError, NothingForDevicesError
from federated.language.nodes import Block, Call, Intrinsic, Lambda, Node, Selection, Structure
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import FederatedType, SequenceType, StructType, TensorType, Type


def inline(node: Node, parameter: Type | None, library: Library, root: str = "value") -> FlatProgram:
    """The flat program of a computation.

    Args:
        node: its graph, a function.
        parameter: its parameter's type with every shape known.
        root: what the parameter is called where it is no structure.

    Raises:
        CompilationError: a sound program that no plan can be made of; it names the user's line.
        NothingForDevicesError: everything in it happens at the server.
    """
    inlining = Inlining(library, OPERATIONS)
    function = inlining.value(node, {}, None)
    path = "" if isinstance(parameter, StructType) else root
    result_type = getattr(node.type, "result", node.type)
    _check_result(result_type, node)
    if not _aggregates(node, set()):
        raise NothingForDevicesError(
            "nothing here is aggregated from clients, so no device has anything to do",
            where=node.origin,
            fix="run it in the local context",
        )
    argument = None if parameter is None else _argument(parameter, path, path, None)
    _check_paths([] if parameter is None else [one for one, _ in leaf_paths(parameter, path)], node)
    results = tuple(flat(result_type, function(argument, None)))
    return FlatProgram(results, tuple(inlining.kept))


def _argument(type_: Type, path: str, owner: str, place: Placement | None) -> Symbol:
    """The symbol of a parameter, or of a part of it."""
    match type_:
        case FederatedType(member, placement):
            return _argument(member, path, path, placement)
        case StructType():
            return tuple(
                _argument(element, deeper(path, name, index), owner, place)
                for index, (name, element) in enumerate(type_.items())
            )
        case TensorType():
            return Tensor(Argument(path, owner, place or SERVER), 0, type_)
        case SequenceType() if place == CLIENTS and path != owner:
            raise CompilationError(
                f"the client parameter {owner!r} is a structure with the sequence {type_} in it ({path}); on a device "
                "each sequence is a collection of its own",
                fix="make every element of the structure a parameter of its own",
            )
        case SequenceType(element) if place == CLIENTS:
            leaves = [(name, leaf) for name, leaf in leaf_paths(element, path) if isinstance(leaf, TensorType)]
            return Streamed(Stream(path, owner, tuple(leaves)), lambda tensors: unflat(element, iter(tensors)))
        case SequenceType():
            raise CompilationError(
                f"the argument {path!r} is the sequence {type_} at the server, which no plan holds",
                fix="give its elements as one tensor, or place it at fed.CLIENTS",
            )
    raise CompilationError(f"the argument {path!r} is a {type_}, which no plan holds")


def _check_paths(paths: list[str], node: Node) -> None:
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise CompilationError(
            f"two tensors of the argument are at {twice!r}: an element is called as another's position is",
            where=node.origin,
            fix="give every element of the structure a name, or none",
        )


def _check_result(type_: Type, node: Node) -> None:
    match type_:
        case FederatedType(_, placement) if placement == CLIENTS:
            raise CompilationError(
                f"the result holds {type_}: what a device has stays there, and only aggregates leave it",
                where=node.origin,
                fix="aggregate it, for instance with fed.federated_sum or fed.federated_mean",
            )
        case FederatedType(member):
            _check_result(member, node)
        case StructType():
            for element in type_:
                _check_result(element, node)
        case TensorType():
            return
        case _:
            raise CompilationError(f"the result holds {type_}; a plan gives tensors", where=node.origin)


def _aggregates(node: Node, seen: set[int]) -> bool:
    """Whether anything in a graph goes from clients to the server."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    match node:
        case Intrinsic(_, type_):
            return _is_at(type_.result, SERVER) and _is_at(type_.parameter, CLIENTS)
        case Structure(elements):
            inner = list(elements)
        case Selection(source):
            inner = [source]
        case Lambda(_, body):
            inner = [body]
        case Call(function, argument):
            inner = [function] if argument is None else [function, argument]
        case Block(bindings, result):
            inner = [*(bound for _, bound in bindings), result]
        case _:
            return False
    return any(_aggregates(one, seen) for one in inner)


def _is_at(type_: Type | None, place: Placement) -> bool:
    if isinstance(type_, FederatedType):
        return type_.placement == place
    return type_ is not None and any(_is_at(child, place) for child in type_.children())
