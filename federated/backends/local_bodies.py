"""The bodies of local computations: TensorFlow functions at a type, traced here or loaded from a document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from federated.backends import graph_document
from federated.backends.each_client import EachClient
from federated.backends.runtime_values import from_flat, to_flat
from federated.backends.structured import ToDataset, dataset_of, flat_specs, flattened, structured
from federated.backends.variables import own_variables
from federated.language import context_stack
from federated.language.arguments import gathered, is_spread_over
from federated.language.cohort import Clients
from federated.language.errors import ExecutionError, FederatedError, MisuseError
from federated.language.origin import of_function
from federated.language.structures import elements_of
from federated.language.types import FunctionType, Type


class TracedBody:
    """A Python function over TensorFlow's tensors.

    Args:
        parameter: the type of what it takes; None where it takes nothing.
        is_spread: whether the elements of the parameter are its arguments; None for what `is_spread_over` says.
    """

    def __init__(self, function: Callable[..., Any], parameter: Type | None, is_spread: bool | None) -> None:
        self.name: str = getattr(function, "__name__", "function")
        self._function = function
        self._parameter = parameter
        self._is_spread = (
            parameter is not None and is_spread_over(function, parameter) if is_spread is None else is_spread
        )
        self._result: list[Type] = []
        traced = tf.function(self._traced, autograph=False)
        with _located(function):
            specs = flat_specs(parameter)
        self._concrete = traced.get_concrete_function(*specs)
        self._refuse_variables()
        self.type = FunctionType(parameter, self._result[-1])
        self._each = EachClient(self._concrete, self.type)

    def run(self, argument: Any) -> Any:
        """The result's runtime value.

        Raises:
            ExecutionError: TensorFlow says that it can't be computed.
        """
        return _run(self, self._concrete, argument)

    def run_each(self, clients: Clients) -> Clients | None:
        """What `run` gives for each client, or None."""
        return self._each.run(clients) if self._each.is_possible else None

    def inlined(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What the Python function gives inside another one."""
        argument = gathered(self._parameter, args, kwargs)
        return self._function() if self._parameter is None else self._applied(argument)

    def emitted(self, flat: Sequence[Any], to_dataset: ToDataset = dataset_of) -> tuple[Type, list[Any]]:
        """The function once more, on tensors of a graph that is being built; `to_dataset` makes its data sets."""
        with context_stack.pushed(context_stack.LocalTrace()), own_variables():
            result = self._called(flat, to_dataset)
            with _located(self._function):
                return flattened(result)

    def serialized(self) -> bytes:
        """The graph, as `LoadedBody` reads it.

        Raises:
            MisuseError: something in it lives in this process alone.
        """
        return graph_document.written(self.name, self._concrete.graph, of_function(self._function))

    def _traced(self, *flat: Any) -> list[Any]:
        type_, leaves = self.emitted(flat)
        self._result.append(type_)
        return leaves

    def _called(self, flat: Sequence[Any], to_dataset: ToDataset) -> Any:
        try:
            if self._parameter is None:
                return self._function()
            return self._applied(structured(self._parameter, flat, to_dataset))
        except Exception as error:
            error.add_note(f"in the local computation {self.name!r}, {of_function(self._function)}")
            if type(error).__name__ == "OperatorNotAllowedInGraphError":
                error.add_note("Python's `if` and `for` over tensors need a function decorated with @tf.function")
            raise

    def _applied(self, value: Any) -> Any:
        if not self._is_spread:
            return self._function(value)
        return self._function(*[element for _, element in elements_of(value) or []])

    def _refuse_variables(self) -> None:
        if self._concrete.graph.variables:
            names = ", ".join(variable.name for variable in self._concrete.graph.variables)
            raise MisuseError(
                f"the local computation {self.name!r} uses the variable {names}, which every client would share",
                where=of_function(self._function),
                fix="make the variable in the function, or take its value as an argument and give the new one back",
            )


class LoadedBody:
    """A body from a document: a graph without its Python function.

    Raises:
        DocumentError: the document is damaged, or its graph does not fit the type.
    """

    def __init__(self, type_: FunctionType, data: bytes) -> None:
        self.type = type_
        self._data = data
        self.name, self._concrete = graph_document.read(type_, data)
        self._each = EachClient(self._outputs, type_)

    def run(self, argument: Any) -> Any:
        """The result's runtime value.

        Raises:
            ExecutionError: TensorFlow says that it can't be computed.
        """
        return _run(self, self._outputs, argument)

    def run_each(self, clients: Clients) -> Clients | None:
        """What `run` gives for each client, or None."""
        return self._each.run(clients) if self._each.is_possible else None

    def inlined(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What the graph gives inside another one."""
        argument = gathered(self.type.parameter, args, kwargs)
        flat = [] if self.type.parameter is None else flattened(argument)[1]
        return structured(self.type.result, self._outputs(*flat))

    def emitted(self, flat: Sequence[Any], to_dataset: ToDataset = dataset_of) -> tuple[Type, list[Any]]:
        """The graph's own outputs, in a graph that is being built."""
        return self.type.result, self._outputs(*flat)

    def serialized(self) -> bytes:
        """The document that it came from."""
        return self._data

    def _outputs(self, *flat: Any) -> list[Any]:
        return list(self._concrete(*flat)["outputs"])


@contextmanager
def _located(function: Callable[..., Any]) -> Iterator[None]:
    """Whatever is refused is refused at the function."""
    try:
        yield
    except FederatedError as error:
        error.where = error.where or of_function(function)
        raise


def _run(body: TracedBody | LoadedBody, concrete: Callable[..., Any], argument: Any) -> Any:
    try:
        return from_flat(body.type.result, concrete(*to_flat(body.type.parameter, argument)))
    except tf.errors.OpError as error:
        raise ExecutionError(
            f"the local computation {body.name!r} failed: {_reason(error.message)}",
            fix="call it alone, with the values that it was given",
        ) from error


def _reason(message: str) -> str:
    """What TensorFlow says, without where in its own code it says so."""
    noise = ("Graph execution error", "Detected at", "  File", "<stack traces", "\t", "[[")
    lines = [line.partition(" [Op:")[0].strip() for line in message.splitlines() if not line.startswith(noise)]
    return " ".join(line for line in lines if line) or message.strip()
