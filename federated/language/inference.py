"""The type of a Python value that comes to a computation without declared types."""

from typing import Any

from federated.language.structures import Struct, elements_of
from federated.language.types import SequenceType, StructType, StructWithPythonType, TensorType, Type, to_type
from federated.language.values import TypedObject, type_of_constant


def infer_type(value: Any) -> Type:
    """The type of a value, a constant, a tensor of TensorFlow, a dataset, or a Python container of such.

    Raises:
        MisuseError: it has none.
    """
    if isinstance(value, TypedObject):
        return value.as_node().type
    spec = getattr(value, "element_spec", None)
    if spec is not None:
        return SequenceType(to_type(spec))
    elements = elements_of(value)
    if elements is not None:
        typed = [(name, infer_type(element)) for name, element in elements]
        return StructType(typed) if isinstance(value, Struct) else StructWithPythonType(typed, type(value))
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and hasattr(dtype, "as_numpy_dtype"):
        return TensorType(dtype.as_numpy_dtype, tuple(shape) if shape is not None else None)
    return type_of_constant(value)
