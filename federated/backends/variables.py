"""Variables of a local computation: `tf.Variable` in its code is the call's own, and ends with it.

TensorFlow would make one for all calls, and refuses an initial value that depends on the arguments. What is made here
has no name, which to TensorFlow means a new one for each run. Its way to make these is not public.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import resource_variable_ops

ANONYMOUS = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""The shared name that means none: `ResourceHandle::ANONYMOUS_NAME` in TensorFlow's `resource_handle.h`."""


def own_variables() -> AbstractContextManager[Any]:
    """While a graph is built: `tf.Variable` makes variables that belong to one run of it."""
    manager: AbstractContextManager[Any] = tf.variable_creator_scope(_make)
    return manager


def _make(next_creator: Callable[..., Any], **arguments: Any) -> Any:
    if tf.executing_eagerly():
        return next_creator(**arguments)
    given = arguments["initial_value"]
    initial = tf.convert_to_tensor(given() if callable(given) else given, arguments.get("dtype"))
    shape = initial.shape if arguments.get("shape") is None else tf.TensorShape(arguments["shape"])
    name = arguments.get("name") or "variable"
    with tf.name_scope(name):
        handle = resource_variable_ops._variable_handle_from_shape_and_dtype(
            shape=shape, dtype=initial.dtype, shared_name=ANONYMOUS, name=name, graph_mode=True
        )
        tf.raw_ops.AssignVariableOp(resource=handle, value=initial)
    return resource_variable_ops.BaseResourceVariable(
        trainable=arguments.get("trainable") is not False,
        shape=shape,
        dtype=initial.dtype,
        handle=handle,
        handle_name=name,
        unique_id=f"{name}_{ops.uid()}",
        in_graph_mode=True,
    )
