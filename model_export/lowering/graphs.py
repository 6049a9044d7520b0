"""The one place that uses TensorFlow's graph interface where it is not public.

`pyproject.toml` therefore admits one minor version of TensorFlow at a time; the tests of the lowerings say whether the
next one still works.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
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


def called_graph(op: Any) -> Any:
    """The body of the function that a call op names, as a graph whose inputs have the shapes they are called with."""
    name = op.get_attr("f").name
    graph = op.graph
    function = graph._get_function(name)
    while function is None and getattr(graph, "outer_graph", None) is not None:
        graph = graph.outer_graph
        function = graph._get_function(name)
    shapes = [value.shape for value in op.inputs]
    with op.graph.as_default():
        return function_def_to_graph.function_def_to_graph(
            function.cached_definition, input_shapes=shapes, include_library_functions=True
        )
