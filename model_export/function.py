"""A TensorFlow function as a signature: its body sees logical tensors, the signature bound ones.

A function takes the state, as variables by name, and its inputs; it gives tensors by name. `model_export.ports` has the
rules of the binding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from model_export.errors import FunctionError
from model_export.ports import check_name, enter, leave, ports_of, spec_of
from model_export.signature import Signature
from plans.manifest import Port
from plans.program import FLAG
from wire.tensors import Tensors, TensorSpec

READY = "ready"
_SCALAR = TensorSpec("float32", (1,))


@dataclass(frozen=True)
class Function:
    """One signature-to-be.

    Attributes:
        body: called as `body(state, **inputs)`, where `state` maps names to `tf.Variable`s; gives tensors by name, or
            None where it only changes the state.
        inputs: the logical specs, or ports that bind otherwise than `model_export.ports` does.
        outputs: ports of outputs that bind otherwise, likewise.
        samples: inputs to verify with, one mapping a call; random ones where there are none. Give some where not every
            value makes sense, such as indices.
        is_random: it draws, or gives what another drew, and a device draws other numbers than TensorFlow: only that
            they are finite is verified.
    """

    body: Callable[..., Mapping[str, Any] | None]
    inputs: Mapping[str, TensorSpec | Port] = field(default_factory=dict)
    outputs: Mapping[str, Port] = field(default_factory=dict)
    samples: Sequence[Tensors] = ()
    is_random: bool = False


@dataclass(frozen=True)
class Ports:
    """What one signature takes and gives; without the flag and the sign of readiness that stand in for nothing."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


@dataclass(frozen=True)
class ExportedFunctions:
    """A file, and the ports of its signatures by name: what `Program.call_through` and `unbind_all` take.

    A signature without inputs takes a `flag` of shape [1], and one without outputs gives `ready`, likewise.
    """

    tflite: bytes
    signatures: Mapping[str, Ports]


@dataclass(frozen=True)
class Draft:
    """A signature with its ports; those of the outputs are there once it is traced."""

    signature: Signature
    inputs: Mapping[str, Port]
    outputs: dict[str, Port]


def draft(name: str, function: Function, variables: Mapping[str, Any]) -> Draft:
    """The signature of a function over these variables.

    Raises:
        FunctionError: a name or an input that no plan can hold; while it is traced, an output.
    """
    where = f"function {name!r}"
    check_name(where, name)
    inputs, outputs = ports_of(where, function.inputs), dict[str, Port]()

    def body(**bound: Any) -> dict[str, Any]:
        given = function.body(variables, **{key: enter(port, bound[key]) for key, port in inputs.items()})
        tensors = {key: tf.convert_to_tensor(value) for key, value in _mapping(where, given).items()}
        specs = {key: spec_of(f"{where}: {key}", tensor) for key, tensor in tensors.items()}
        outputs.update(_output_ports(where, specs, function.outputs))
        return {key: leave(outputs[key], tensor) for key, tensor in tensors.items()} or {READY: tf.ones([1])}

    specs = {key: port.at_runtime for key, port in inputs.items()} or {FLAG: _SCALAR}
    return Draft(Signature(name, specs, body), inputs, outputs)


def _output_ports(where: str, specs: Mapping[str, TensorSpec], chosen: Mapping[str, Port]) -> dict[str, Port]:
    for name, port in chosen.items():
        if specs.get(name) != port.spec:
            raise FunctionError(f"{where}: {name}", f"it gives {specs.get(name)}", f"its port says {port.spec}")
    return ports_of(where, {**specs, **chosen})


def _mapping(where: str, given: Any) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise FunctionError(where, f"it gives a {type(given).__name__}", "give tensors by name, as {'name': tensor}")
    return given or {}
