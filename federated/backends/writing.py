"""Writes a program of a plan as a TFLite file, with `model_export`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from federated.compiler.flat import Apply, Constant, Operation, Tensor, in_order, sizes, sources
from federated.compiler.ports import port
from federated.compiler.signatures import Batching, ProgramDraft, Signature
from federated.language.errors import CompilationError
from model_export.errors import ExportError, UnsupportedOpError
from model_export.function import Function
from model_export.function_export import export_functions
from model_export.lowering.folding import RANDOM
from model_export.lowering.support import unsupported
from plans.errors import PlanError
from plans.manifest import Port
from wire.tensors import TensorSpec


class TfliteWriter:
    """See `federated.compiler.planning.Writer`."""

    def write(self, program: ProgramDraft) -> bytes:
        """The file of a program."""
        scopes: dict[str, Apply] = {}
        functions = {signature.name: _function(signature, scopes) for signature in program.signatures}
        variables = {name: np.zeros(sizes(type_), type_.dtype) for name, type_ in program.variables.items()}
        try:
            return export_functions(functions, state=variables).tflite
        except UnsupportedOpError as error:
            raise _refusal(error, scopes) from error
        except (ExportError, PlanError) as error:
            raise CompilationError(f"no file for devices can be made: {error}") from error


def _refusal(error: UnsupportedOpError, scopes: Mapping[str, Apply]) -> CompilationError:
    """The refusal of an op, with the local computation that it is in."""
    found = scopes.get(error.op_name.partition("/")[0])
    if error.op_type == "VarHandleOp" and found is not None:
        return CompilationError(
            f"the local computation {found.kernel.name!r} makes a tf.Variable, which devices cannot",
            where=found.origin,
            fix="keep the value in a tensor, and carry it through reduce",
        )
    is_ours = (Path(__file__).parent / error.source.partition(":")[0]).is_file()
    written = f", written at {error.source}" if error.source and not is_ours else ""
    return CompilationError(
        f"{'a local computation' if found is None else f'the local computation {found.kernel.name!r}'} uses "
        f"TensorFlow's {error.op_type}{written}, which devices cannot run: it {error.reason}",
        where=None if found is None else found.origin,
        fix="write it with other operations; `fedelta export ops` lists those that devices have",
    )


def _function(signature: Signature, scopes: dict[str, Apply]) -> Function:
    return Function(
        _body(signature, scopes),
        inputs={name: _input(tensor, signature) for name, tensor in signature.inputs.items()},
        outputs={name: port(tensor) for name, tensor in signature.outputs.items()},
    )


def _input(tensor: Tensor, signature: Signature) -> Port:
    given = port(tensor)
    if signature.batching is None:
        return given
    shape = (1, *given.spec.shape) if signature.batching is Batching.ONE_EXAMPLE else given.spec.shape
    spec, bound = TensorSpec(given.spec.dtype, shape), TensorSpec(given.at_runtime.dtype, shape)
    return Port(spec) if spec == bound else Port(spec, bound)


def _body(signature: Signature, scopes: dict[str, Apply]) -> Callable[..., Mapping[str, Any]]:
    def body(state: Mapping[str, Any], /, **inputs: Any) -> Mapping[str, Any]:
        known = {tensor: tf.reshape(inputs[name], tensor.type.shape) for name, tensor in signature.inputs.items()}
        known |= {tensor: state[name].read_value() for name, tensor in signature.reads.items()}
        known |= {alias: known[tensor] for alias, tensor in signature.aliases.items()}
        emission = _Emission(known, scopes)
        written = {name: emission.tensor(tensor) for name, tensor in signature.writes.items()}
        outputs = {name: tf.identity(emission.tensor(tensor)) for name, tensor in signature.outputs.items()}
        _refuse_random()
        for name, value in written.items():
            state[name].assign(value)
        return outputs

    return body


def _refuse_random() -> None:
    """A device draws other numbers than TensorFlow from one seed, so a plan would mean something else."""
    if not tf.executing_eagerly():
        for op in tf.compat.v1.get_default_graph().get_operations():
            if RANDOM.search(op.type):
                raise unsupported([op], "draws random numbers, which every library draws otherwise", ())


class _Emission:
    """Computes tensors, each operation once.

    Args:
        known: the tensors that are there.
        scopes: gets the operation behind each name scope of the graph, so that a refused op can be traced back.
    """

    def __init__(self, known: dict[Tensor, Any], scopes: dict[str, Apply]) -> None:
        self._known = known
        self._scopes = scopes
        self._outputs: dict[Operation, list[Any]] = {}

    def tensor(self, tensor: Tensor) -> Any:
        """TensorFlow's tensor for one of the program's."""
        for one in in_order([tensor], self._missing):
            if one not in self._known:
                self._known[one] = self._computed(one)
        return self._known[tensor]

    def _missing(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """What it is computed from, where it is not there yet."""
        return () if tensor in self._known else sources(tensor.operation)

    def _computed(self, tensor: Tensor) -> Any:
        match tensor.operation:
            case Constant(value):
                return tf.constant(value)
            case Apply(kernel, inputs) as operation:
                if operation not in self._outputs:
                    scope = f"local{len(self._scopes)}"
                    self._scopes[scope] = operation
                    with tf.name_scope(scope):
                        self._outputs[operation] = kernel.emit([self._known[inner] for inner in inputs])
                return self._outputs[operation][tensor.index]
        raise AssertionError(tensor)
