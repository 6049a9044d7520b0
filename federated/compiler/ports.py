"""How a tensor of a computation stands in a plan: the ports of its signatures.

float32, int32, int64, uint8    as they are; a scalar has the shape [1] in a signature
bool                            as uint8, 0 or 1
"""

from federated.compiler.flat import Argument, Tensor
from federated.language.errors import CompilationError
from federated.language.origin import Origin
from federated.language.types import TensorType
from plans.manifest import Port
from wire.tensors import TensorSpec

DTYPES = {"bool": "uint8", "float32": "float32", "int32": "int32", "int64": "int64", "uint8": "uint8"}


def port(tensor: Tensor) -> Port:
    """The port of a tensor.

    Raises:
        CompilationError: devices do not compute with its dtype.
    """
    operation = tensor.operation
    spec = _spec(tensor.type, operation.path if isinstance(operation, Argument) else None, operation.origin)
    bound = TensorSpec(DTYPES[spec.dtype], spec.shape or (1,))
    return Port(spec) if bound == spec else Port(spec, bound)


def example_port(type_: TensorType, path: str, *, is_batch: bool) -> Port:
    """The port of one example; a tensor that is a batch of examples has them along its first axis.

    Args:
        path: where it is in the computation's parameter.

    Raises:
        CompilationError: devices do not compute with its dtype.
    """
    spec = _spec(type_, path, None)
    one = TensorSpec(spec.dtype, spec.shape[1:] if is_batch else spec.shape)
    bound = TensorSpec(DTYPES[spec.dtype], one.shape)
    return Port(one) if bound == one else Port(one, bound)


def _spec(type_: TensorType, argument: str | None, where: Origin | None) -> TensorSpec:
    name = type_.dtype.name if type_.dtype.kind != "U" else "str"
    if name not in DTYPES:
        what = "" if argument is None else f", which the parameter {argument!r} is"
        ways = ", ".join(DTYPES)
        fix = (
            f"cast it in a fed.tf_computation to one of {ways}" if argument is None else f"declare it as one of {ways}"
        )
        raise CompilationError(f"devices do not compute with {type_}{what}", where=where, fix=fix)
    if type_.shape is None or None in type_.shape:
        raise CompilationError(f"devices compute with known shapes only, found {type_}", where=where)
    return TensorSpec(name, tuple(size for size in type_.shape if size is not None))
