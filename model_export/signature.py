"""One signature of a TFLite file: named inputs, and the TensorFlow function behind them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.emit import emit
from model_export.lowering.support import unsupported
from wire.tensors import TensorSpec


@dataclass(frozen=True)
class Signature:
    """A signature before it is traced.

    Attributes:
        inputs: the bound specs, by name; at least one, and none of rank 0.
        body: takes tensors of these specs by name and gives the outputs by name.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    body: Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Traced:
    """A traced signature: its graph, and the graph's own tensors for every input and output."""

    signature: Signature
    graph: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def trace(signature: Signature) -> Traced:
    """Run the signature's body once, on symbolic tensors of static shape."""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}

    def body(**arguments: Any) -> Mapping[str, Any]:
        inputs.update(arguments)
        outputs.update(signature.body(**arguments))
        return dict(outputs)

    function = _concrete(body, signature)
    return Traced(signature, function.graph, inputs, outputs)


def lower(traced: Traced, layers: Collection[str]) -> Any:
    """The same signature as a concrete function whose every op TFLite has.

    Raises:
        UnsupportedOpError: an op has no builtin form; `layers` are the names of the layers it may belong to.
    """

    def body(**arguments: Any) -> Mapping[str, Any]:
        environment = {inside.ref(): outside for outside, inside in traced.graph.captures}
        environment |= {traced.inputs[name].ref(): value for name, value in arguments.items()}
        try:
            emitted = emit(traced.graph, environment, list(traced.outputs.values()))
        except LoweringError as error:
            raise unsupported(error.chain, str(error), layers) from error
        return {name: tf.identity(value) for name, value in zip(traced.outputs, emitted, strict=True)}

    return _concrete(body, traced.signature)


def _concrete(body: Callable[..., Any], signature: Signature) -> Any:
    specs = {name: tf.TensorSpec(spec.shape, spec.dtype) for name, spec in signature.inputs.items()}
    return tf.function(body, autograph=False).get_concrete_function(**specs)
