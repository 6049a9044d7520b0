"""Local computations of NumPy functions: the language's own tests compute with them, and need no TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from federated.language.arguments import gathered
from federated.language.cohort import Clients
from federated.language.computation import Computation
from federated.language.nodes import Local
from federated.language.origin import of_function
from federated.language.types import FunctionType, to_type

_BY_NAME: dict[str, Callable[..., Any]] = {}


class NumpyBody:
    """A Python function of runtime values; the elements of a structure are its arguments."""

    def __init__(self, type_: FunctionType, name: str, function: Callable[..., Any]) -> None:
        self.type = type_
        self.name = name
        self._function = function

    def run(self, argument: Any) -> Any:
        if self.type.parameter is None:
            return self._function()
        return self._function(*argument) if isinstance(argument, tuple) else self._function(argument)

    def run_each(self, clients: Clients) -> Clients | None:
        return None

    def inlined(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.run(gathered(self.type.parameter, args, kwargs))

    def serialized(self) -> bytes:
        return self.name.encode()


def numpy_computation(parameter: Any, result: Any) -> Callable[[Callable[..., Any]], Computation]:
    """A decorator: the function, at these types, as a computation."""

    def decorate(function: Callable[..., Any]) -> Computation:
        type_ = FunctionType(parameter, to_type(result))
        name = function.__name__
        _BY_NAME[name] = function
        return Computation(Local(NumpyBody(type_, name, function), type_, origin=of_function(function)), name)

    return decorate


def load_body(type_: FunctionType, data: bytes) -> NumpyBody:
    """What `NumpyBody.serialized` wrote, in the process that wrote it."""
    return NumpyBody(type_, data.decode(), _BY_NAME[data.decode()])
