"""The one place that uses TensorFlow's graph interface where it is not public.

`pyproject.toml` therefore admits one minor version of TensorFlow at a time; the tests of the lowerings say whether the
next one still works.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.python.eager import context, execute
from tensorflow.python.framework import function_def_to_graph


def copy_op(op: Any, inputs: Sequence[Any]) -> list[Any]:
    """Create the same op in the current graph, on other inputs."""
    attributes = {name: value for name, value in op.node_def.attr.items() if not name.startswith("_")}
    name = op.name.rsplit("/", 1)[-1]
    dtypes = [output.dtype for output in op.outputs]
    graph = tf.compat.v1.get_default_graph()
    created = graph._create_op_internal(op.type, list(inputs), dtypes, attrs=attributes, op_def=op.op_def, name=name)
    for made, original in zip(created.outputs, op.outputs, strict=True):
        if not made.shape.is_fully_defined():
            made.set_shape(original.shape)
    return list(created.outputs)


def retyped(op: Any, old: Any, new: Any) -> Any:
    """The same op on tensors of another dtype, in a graph of its own."""
    attributes = {name: value for name, value in op.node_def.attr.items() if not name.startswith("_")}
    types = {name: new.as_datatype_enum for name, value in attributes.items() if value.type == old.as_datatype_enum}
    attributes |= {name: AttrValue(type=type_) for name, type_ in types.items()}
    with tf.Graph().as_default() as graph:
        inputs = [tf.compat.v1.placeholder(_other(value.dtype, old, new), value.shape) for value in op.inputs]
        dtypes = [_other(output.dtype, old, new) for output in op.outputs]
        name = op.name.rsplit("/", 1)[-1]
        made = graph._create_op_internal(op.type, inputs, dtypes, attrs=attributes, op_def=op.op_def, name=name)
        for output, original in zip(made.outputs, op.outputs, strict=True):
            output.set_shape(original.shape)
    return made


def _other(dtype: Any, old: Any, new: Any) -> Any:
    return new if dtype == old else dtype


def evaluate_op(op: Any, values: Sequence[Any]) -> list[Any]:
    """What an op computes from these numpy arrays."""
    attributes: list[Any] = []
    for name in op.node_def.attr:
        if not name.startswith("_"):
            attributes += [name, _plain(op.get_attr(name))]
    with tf.init_scope():
        tensors = [tf.constant(value, source.dtype) for value, source in zip(values, op.inputs, strict=True)]
        results = execute.execute(op.type, len(op.outputs), tensors, tuple(attributes), context.context())
        return [result.numpy() for result in results]


def _plain(attribute: Any) -> Any:
    if isinstance(attribute, list):
        return [_plain(one) for one in attribute]
    return attribute.as_datatype_enum if isinstance(attribute, tf.DType) else attribute


def variable_spec(handle: Any) -> tuple[list[int], Any]:
    """The shape and dtype of the variable behind a handle."""
    (held,) = handle._handle_data.shape_and_type
    return tf.TensorShape(held.shape).as_list(), tf.as_dtype(held.dtype)


def called_graph(op: Any, name: str, shapes: Sequence[Any]) -> Any:
    """The body of a function that an op names, as a graph whose inputs have these shapes."""
    graph = op.graph
    function = graph._get_function(name)
    while function is None and getattr(graph, "outer_graph", None) is not None:
        graph = graph.outer_graph
        function = graph._get_function(name)
    with op.graph.as_default():
        return function_def_to_graph.function_def_to_graph(
            function.cached_definition, input_shapes=list(shapes), include_library_functions=True
        )
