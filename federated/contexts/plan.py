"""The plan context: compiles a computation once for each shape of its arguments, and runs the plan that devices run."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from federated.compiler.collections import Collections, own_collections
from federated.compiler.compiling import anything, compile_draft, root_of
from federated.compiler.flat import FlatProgram
from federated.compiler.parameters import parts_of
from federated.compiler.planning import write_plan
from federated.contexts.compiled import CompiledComputation, at, zero_of
from federated.contexts.evaluation import evaluated, is_federated
from federated.contexts.local import LocalContext
from federated.contexts.python_values import cohort_of, denoted, presented
from federated.contexts.specialising import closed_type, known, with_parts
from federated.language.arguments import gathered
from federated.language.computation import Computation
from federated.language.errors import NothingForDevicesError
from federated.language.types import FunctionType, Type

_KEPT_PLANS = 64


class PlanContext:
    """Runs computations as plans, on this machine.

    Args:
        clients: how many clients take part where no argument says so.
        threads: how many clients run at once; None for one a core.

    Attributes:
        compilations: how many plans it has made.
    """

    def __init__(self, clients: int = 0, threads: int | None = None) -> None:
        self.compilations = 0
        self._clients = clients
        self._threads = threads
        self._local = LocalContext(clients)
        self._compiled: OrderedDict[Any, tuple[Computation, CompiledComputation]] = OrderedDict()

    def invoke(self, computation: Computation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a call. What no device has anything to do with is run as the local context does."""
        type_ = computation.type_signature
        if not is_federated(type_):
            return self._local.invoke(computation, args, kwargs)
        argument = gathered(type_.parameter, args, kwargs)
        cohort, value = self._clients, None
        if type_.parameter is not None:
            found = cohort_of(type_.parameter, argument)
            cohort = cohort if found is None else found
            value = denoted(type_.parameter, argument, cohort)
        try:
            compiled_ = self._compile(computation, value)
        except NothingForDevicesError:
            return presented(type_.result, evaluated(computation, value, cohort))
        return compiled_.run(value, cohort)

    def _compile(self, computation: Computation, value: Any) -> CompiledComputation:
        parameter, collections = specialised(computation, value)
        key = (
            id(computation.as_node()),
            parameter,
            tuple(sorted((k, v.batch_size) for k, v in collections.bound.items())),
        )
        if key not in self._compiled:
            self.compilations += 1
            # The computation is kept too, so that its id stays its own.
            made = compiled(computation, parameter, collections, value)
            made.threads = self._threads
            self._compiled[key] = computation, made
            if len(self._compiled) > _KEPT_PLANS:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key][1]


def specialised(computation: Computation, value: Any) -> tuple[Type | None, Collections]:
    """The parameter's type for these values, and a collection for each part that clients have."""
    parameter, root = computation.type_signature.parameter, root_of(computation)
    if parameter is None:
        return None, Collections()
    parts = parts_of(parameter, root)
    found = [known(part, at(value, part.index)) for part in parts]
    sizes = {part.path: size for part, (_, size) in zip(parts, found, strict=True) if part.is_clients}
    return with_parts(parameter, iter([type_ for type_, _ in found])), own_collections(sizes)


def compiled_for(computation: Computation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> CompiledComputation:
    """A computation as a plan, for arguments like these; without any, for the shapes that its type says.

    Raises:
        CompilationError: see `federated.compiler.compiling`.
    """
    parameter = computation.type_signature.parameter
    if parameter is not None and not args and not kwargs:
        parts = parts_of(parameter, root_of(computation))
        closed = with_parts(parameter, iter([closed_type(part, computation.as_node().origin) for part in parts]))
        collections = own_collections({part.path: None for part in parts if part.is_clients})
        return compiled(computation, closed, collections, zero_of(closed))
    argument = gathered(parameter, args, kwargs)
    value = None if parameter is None else denoted(parameter, argument, cohort_of(parameter, argument) or 0)
    return compiled(computation, *specialised(computation, value), value)


def compiled(
    computation: Computation,
    parameter: Type | None,
    collections: Collections,
    value: Any,
    check: Callable[[FlatProgram], None] = anything,
) -> CompiledComputation:
    """A computation as a plan with these arguments of the server.

    Args:
        check: see `federated.compiler.compiling.compile_draft`.

    Raises:
        CompilationError: see `federated.compiler.compiling`.
    """
    from federated.backends.library import TensorFlowLibrary
    from federated.backends.writing import TfliteWriter

    draft = compile_draft(computation, parameter, collections, TensorFlowLibrary(), check)
    type_ = FunctionType(parameter, computation.type_signature.result)
    plan = write_plan(draft, TfliteWriter(), {})
    unfilled = CompiledComputation(plan, type_, root_of(computation), collections)
    return CompiledComputation(unfilled.with_state(value), type_, root_of(computation), collections)
