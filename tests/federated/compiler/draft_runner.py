"""Runs the draft of a plan as hosts run plans, its signatures computed by their kernels: no file, no interpreter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from federated.compiler.compiling import compile_draft, root_of
from federated.compiler.flat import Apply, Constant, Operation, Tensor, sizes
from federated.compiler.planning import WORK, Draft
from federated.compiler.ports import port
from federated.compiler.signatures import ProgramDraft, Signature
from federated.contexts.cohort_examples import MemoryExamples
from federated.contexts.compiled import CompiledComputation
from federated.contexts.plan import specialised
from federated.contexts.python_values import cohort_of, denoted
from federated.contexts.running import Cohort, kept_of
from federated.language.arguments import gathered
from federated.language.computation import Computation
from federated.language.errors import ExecutionError
from federated.language.kept import KeptStates
from federated.language.types import FunctionType
from plans import client, server
from plans.accumulators.work import WorkAccumulator
from plans.bundle import Plan
from plans.client import ClientResult
from plans.errors import PlanError
from plans.manifest import Port
from plans.program import FLAG, Program, bind
from tests.federated.compiler.numpy_library import NumpyLibrary
from wire.tensors import Array, Tensors


def draft_of(computation: Computation, *args: Any) -> Draft:
    """The draft of a computation's plan for some arguments."""
    value, _ = _denoted(computation, args)
    parameter, collections = specialised(computation, value)
    return compile_draft(computation, parameter, collections, NumpyLibrary())


def run_draft(computation: Computation, *args: Any, clients: int = 0) -> Any:
    """The result of a computation, from the draft of its plan."""
    value, found = _denoted(computation, args)
    cohort = clients if found is None else found
    parameter, collections = specialised(computation, value)
    draft = compile_draft(computation, parameter, collections, NumpyLibrary())
    type_ = FunctionType(parameter, computation.type_signature.result)
    compiled = CompiledComputation(Plan(draft.manifest, b"", b"", {}), type_, root_of(computation), collections)
    compiled.__dict__["_runner"] = _Runner(draft)
    return compiled.run(value, cohort)


def _denoted(computation: Computation, args: Sequence[Any]) -> tuple[Any, int | None]:
    parameter = computation.type_signature.parameter
    if parameter is None:
        return None, None
    argument = gathered(parameter, args, {})
    cohort = cohort_of(parameter, argument)
    return denoted(parameter, argument, cohort or 0), cohort


class _Runner:
    """What `federated.contexts.running.PlanRunner` does, one client after the other."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def run(
        self, work: str, state: Mapping[str, Array], cohort: Cohort, count: int, kept: KeptStates
    ) -> dict[str, Array]:
        try:
            return self._result(state, cohort, count, kept)
        except PlanError as error:
            raise ExecutionError(str(error)) from error

    def _result(self, state: Mapping[str, Array], cohort: Cohort, count: int, kept: KeptStates) -> dict[str, Array]:
        manifest, at_server = self._draft.manifest, cast(Program, DraftProgram(self._draft.server))
        carried: dict[str, Array] = {}
        result: dict[str, Array] = {}
        for phase in manifest.phases:
            one = phase.works[WORK]
            prepared = server.prepare(at_server, manifest, one, state, carried=carried)
            known = {**state, **carried, **prepared.temp}
            totals = WorkAccumulator(one, max(count, 1), at_server, known=known)
            for number, examples in enumerate(cohort()):
                found = self._found(one, prepared.broadcast, examples, number, kept)
                totals.accumulate(found.update)
                if one.device_state:
                    kept.keep(number, found.device_state)
            updated = server.update(
                at_server, manifest, one, state, totals.finalize(), temp=prepared.temp, carried=carried
            )
            carried, result = updated.carried, updated.result
        return result

    def _found(
        self, work: Any, broadcast: Tensors, examples: Mapping[str, MemoryExamples], number: int, kept: KeptStates
    ) -> ClientResult:
        program = cast(Program, DraftProgram(self._draft.client))
        before = kept_of(work, kept.before(number)) if work.device_state else None
        return client.run(program, work, broadcast, examples, seed=number, device_state=before)


class DraftProgram:
    """The calls of `plans.program.Program` for a program that has not been written."""

    def __init__(self, program: ProgramDraft) -> None:
        self._signatures = {signature.name: signature for signature in program.signatures}
        self._variables = {name: np.zeros(sizes(type_), type_.dtype) for name, type_ in program.variables.items()}

    def call(self, name: str, /, **arrays: Array) -> dict[str, Array]:
        signature = self._signatures[name]
        assert arrays.keys() == (signature.inputs.keys() or {FLAG}), (name, sorted(arrays))
        known = {tensor: _logical(tensor, arrays[key]) for key, tensor in signature.inputs.items()}
        known |= {tensor: self._variables[key] for key, tensor in signature.reads.items()}
        known |= {alias: known[tensor] for alias, tensor in signature.aliases.items()}
        outputs: dict[Operation, list[Array]] = {}
        written = {key: _computed(tensor, known, outputs) for key, tensor in signature.writes.items()}
        given = {key: _bound(tensor, _computed(tensor, known, outputs)) for key, tensor in signature.outputs.items()}
        self._variables |= written
        return given

    def steps(self, name: str, calls: Iterable[Mapping[str, Array]]) -> Iterator[None]:
        for arrays in calls:
            self.call(name, **arrays)
            yield

    def call_through(self, name: str, ports: Mapping[str, Port], tensors: Tensors) -> dict[str, Array]:
        arrays = {key: bind(one, tensors[key]) for key, one in ports.items()}
        return self.call(name, **(arrays or {FLAG: np.ones([1], np.float32)}))


def signatures_of(program: ProgramDraft) -> dict[str, Signature]:
    return {signature.name: signature for signature in program.signatures}


def _computed(tensor: Tensor, known: Mapping[Tensor, Array], outputs: dict[Operation, list[Array]]) -> Array:
    if tensor in known:
        return known[tensor]
    match tensor.operation:
        case Constant(value):
            return value
        case Apply(kernel, inputs) as operation:
            if operation not in outputs:
                outputs[operation] = kernel.emit([_computed(inner, known, outputs) for inner in inputs])
            found = outputs[operation][tensor.index]
            assert (found.dtype, found.shape) == (tensor.type.dtype, tensor.type.shape), tensor
            return found
    raise AssertionError(tensor)


def _logical(tensor: Tensor, value: Array) -> Array:
    return np.asarray(value).astype(tensor.type.dtype).reshape(sizes(tensor.type))


def _bound(tensor: Tensor, value: Array) -> Array:
    spec = port(tensor).at_runtime
    return np.asarray(value).astype(spec.dtype).reshape(spec.shape)
