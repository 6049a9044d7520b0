"""`tf_computation`: TensorFlow code as a local computation. TensorFlow is loaded when the first one is traced."""

from collections.abc import Callable
from typing import Any, overload

from federated.language import context_stack
from federated.language.arguments import parameter_names
from federated.language.computation import Computation, Decorator, TypeLike, decorator
from federated.language.nodes import Local
from federated.language.origin import of_function
from federated.language.types import Type


@overload
def tf_computation(*types: TypeLike) -> Decorator: ...


@overload
def tf_computation(function: Callable[..., Any], /, *types: Any) -> Computation: ...


def tf_computation(*args: Any) -> Any:
    """A Python function over TensorFlow's tensors as a local computation, `(P -> R)` with nothing federated in it.

    Decorates a function, with the types of its parameters or without; or takes the function first. A sequence is a
    `tf.data.Dataset`; structures are the Python containers that the types were written in. As in `tf.function` without
    AutoGraph, Python's own `if` and `for` decide while tracing; decorate with `tf.function` what needs more.

    Example:
        >>> @fed.tf_computation(np.float32, np.float32)
        ... def is_over(reading, threshold):
        ...     return tf.cast(reading > threshold, tf.float32)
        >>> str(is_over.type_signature)
        '(<reading=float32,threshold=float32> -> float32)'

    Raises:
        FederatedError: of one of its kinds, when it is traced.
    """
    return decorator(args, _make, "tf_computation")


def _make(function: Callable[..., Any], parameter: Type | None, is_spread: bool | None) -> Computation:
    from federated.backends.local_bodies import TracedBody

    with context_stack.pushed(context_stack.LocalTrace()):
        body = TracedBody(function, parameter, is_spread)
    return Computation(Local(body, body.type, origin=of_function(function)), body.name, parameter_names(function))
