"""How a computation's tensors enter and leave a signature: the bound form of every logical spec.

    float32, int32, uint8    as they are; a scalar as [1], since a phone's runtime has no rank 0
    int64                    as int32: `plans.program.bind` checks what goes in; what comes out must fit
    bool                     as uint8, 0 or 1

A port that binds otherwise may be given instead of a spec, such as an int64 that stays one.
"""

from collections.abc import Mapping

import tensorflow as tf

from model_export.errors import FunctionError
from plans.manifest import Port
from wire.tensors import NAME_PATTERN, TensorSpec

_BOUND_DTYPES = {"bool": "uint8", "float32": "float32", "int32": "int32", "int64": "int32", "uint8": "uint8"}


def port_of(where: str, spec: TensorSpec | Port) -> Port:
    """The port of a logical spec; a port is taken as it is.

    Raises:
        FunctionError: devices do not compute with this dtype; `where` names the tensor.
    """
    if isinstance(spec, Port):
        return spec
    if spec.dtype not in _BOUND_DTYPES:
        raise FunctionError(where, f"it is {spec}", f"use one of {', '.join(_BOUND_DTYPES)}")
    bound = TensorSpec(_BOUND_DTYPES[spec.dtype], spec.shape or (1,))
    return Port(spec) if bound == spec else Port(spec, bound)


def ports_of(where: str, specs: Mapping[str, TensorSpec | Port]) -> dict[str, Port]:
    """The ports of named specs.

    Raises:
        FunctionError: see `port_of`; or a name that a plan cannot hold.
    """
    for name in specs:
        check_name(f"{where}: {name!r}", name)
    return {name: port_of(f"{where}: {name}", spec) for name, spec in specs.items()}


def check_name(where: str, name: str) -> None:
    """Refuse a name that a plan cannot hold."""
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise FunctionError(where, "it is not a name of a plan", f"use a name of the form {NAME_PATTERN.pattern}")


def spec_of(where: str, tensor: tf.Tensor) -> TensorSpec:
    """The logical spec of a symbolic tensor.

    Raises:
        FunctionError: its shape is not static, or no plan holds its dtype.
    """
    if not tensor.shape.is_fully_defined():
        raise FunctionError(where, f"its shape is {tensor.shape}", "make every size static, for instance with a mask")
    try:
        return TensorSpec(tensor.dtype.name, tuple(tensor.shape))
    except ValueError as error:
        raise FunctionError(where, str(error), "cast it") from None


def enter(port: Port, tensor: tf.Tensor) -> tf.Tensor:
    """The logical tensor of what a signature took."""
    return tf.cast(tf.reshape(tensor, port.spec.shape), port.spec.dtype)


def leave(port: Port, tensor: tf.Tensor) -> tf.Tensor:
    """What a signature gives for a logical tensor."""
    return tf.reshape(tf.cast(tensor, port.at_runtime.dtype), port.at_runtime.shape)
