"""A flat program, a schedule or a draft that is wrong is found out, and called the compiler's own mistake."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.compiler.flat import (
    Aggregate,
    Apply,
    Argument,
    Broadcast,
    Constant,
    FlatProgram,
    Fold,
    Formal,
    Operation,
    Region,
    Stream,
    Tensor,
)
from federated.compiler.sections import Section, schedule
from federated.compiler.signatures import ProgramDraft, Signature
from federated.compiler.verifying import verify_disjoint, verify_program, verify_schedule, verify_signatures
from federated.language.errors import CompilationError
from federated.language.placements import CLIENTS, SERVER, Placement
from federated.language.types import TensorType
from plans.manifest import Kind
from tests.federated.compiler.draft_runner import draft_of
from tests.federated.compiler.numpy_library import NumpyKernel
from tests.federated.numpy_computations import numpy_computation

NUMBER = TensorType(np.float32)
KERNEL = NumpyKernel("twice", lambda flat: [flat[0] + flat[0]])


def _tensor(operation: Operation, region: Region | None = None, type_: TensorType = NUMBER) -> Tensor:
    return Tensor(operation, 0, type_, region)


def _argument(path: str, place: Placement) -> Tensor:
    return _tensor(Argument(path, path, place))


def _apply(place: Placement | None, *inputs: Tensor, region: Region | None = None) -> Tensor:
    return _tensor(Apply(KERNEL, inputs, place), region)


def _sum(value: Tensor) -> Tensor:
    return _tensor(Aggregate("federated_sum", Kind.SUM, (value,)))


def _fold(zero: Tensor, **changes: Any) -> Tensor:
    region = Region()
    total, element = (_tensor(Formal(name), region) for name in ("total", "element"))
    region.parameters = (total, element)
    region.results = (_apply(CLIENTS, total, region=region),)
    for name, value in changes.items():
        setattr(region, name, value)
    return _tensor(Fold(Stream("x", "x", (("x", NUMBER),)), (zero,), region))


X, S, ONE = _argument("x", CLIENTS), _argument("s", SERVER), _tensor(Constant(np.ones((), np.float32)))
SENT = _tensor(Broadcast(S))


def test_sound_programs_pass() -> None:
    verify_program(FlatProgram((_sum(_apply(CLIENTS, X, SENT, ONE)), _sum(ONE), S, ONE, _sum(_fold(SENT)))))


WRONG = {
    "a client's tensor in the result": _apply(CLIENTS, X),
    "a server's tensor at a client": _sum(_apply(CLIENTS, X, S)),
    "a client's tensor at the server": _apply(SERVER, X),
    "a client's tensor in an operation without a placement": _apply(None, X),
    "an aggregate of the server's": _sum(S),
    "an aggregate of an aggregate": _sum(_sum(X)),
    "a broadcast of a client's": _sum(_tensor(Broadcast(X))),
    "a fold that starts from the server's": _sum(_fold(S)),
    "an unknown shape": _tensor(Argument("s", "s", SERVER), type_=TensorType(np.float32, [None])),
    "a total outside of its fold": _sum(_apply(CLIENTS, _tensor(Formal("total"), Region()))),
    "a fold of another's element": _sum(_fold(ONE, results=(_apply(CLIENTS, _tensor(Formal("other"), Region())),))),
    "a fold that comes to another type": _sum(
        _fold(_tensor(Constant(np.ones((), np.int32)), type_=TensorType(np.int32)))
    ),
    "an aggregation that uses a value from outside": _tensor(
        Aggregate("federated_aggregate", Kind.CUSTOM, (X,), functions={"zero": Region((), (S,))})
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_program_is_found_out(what: str) -> None:
    with pytest.raises(CompilationError, match="a mistake of the compiler's own"):
        verify_program(FlatProgram((WRONG[what],)))


def test_a_section_that_lacks_what_it_needs_is_found_out() -> None:
    work = _apply(CLIENTS, X, SENT)
    whole = [Section((SENT,)), Section((X,)), Section(roots=(work,))]
    verify_schedule(whole, schedule(whole))
    broken = [Section((SENT,)), Section(), Section(roots=(work,))]
    with pytest.raises(CompilationError, match="has no argument 'x'"):
        verify_schedule(broken, schedule(broken))
    plan = schedule(whole)
    with pytest.raises(CompilationError, match="has no"):
        verify_schedule(whole, replace(plan, needs=((), (), (X,))))


@numpy_computation([np.float32, np.float32], np.float32)
def add(a: Any, b: Any) -> Any:
    return a + b


@fed.federated_computation(
    fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS), fed.FederatedType(np.float32, fed.CLIENTS)
)
def folded(stream: Any, start: Any) -> Any:
    return fed.federated_sum(fed.sequence_reduce(stream, start, add))


ORDER = ["begin", "read_0", "open_0", "step_0", "finish"]


@pytest.fixture
def program() -> ProgramDraft:
    return draft_of(folded, [[1.0]], [2.0]).client


def _changed(program: ProgramDraft, name: str, **changes: Any) -> ProgramDraft:
    return replace(
        program, signatures=tuple(replace(s, **changes) if s.name == name else s for s in program.signatures)
    )


def test_a_sound_draft_passes(program: ProgramDraft) -> None:
    verify_signatures(program, [ORDER])


def test_a_variable_that_is_read_before_it_is_written_is_found_out(program: ProgramDraft) -> None:
    with pytest.raises(CompilationError, match="before anything has written it"):
        verify_signatures(program, [["begin", "step_0", "open_0", "read_0", "finish"]])
    with pytest.raises(CompilationError, match="before anything has written it"):
        verify_signatures(_changed(program, "open_0", writes={}), [ORDER])


def test_an_output_that_cannot_be_computed_is_found_out(program: ProgramDraft) -> None:
    with pytest.raises(CompilationError, match="the signature finish has no fold"):
        verify_signatures(_changed(program, "finish", reads={}), [ORDER])


def test_a_variable_of_another_type_is_found_out(program: ProgramDraft) -> None:
    with pytest.raises(CompilationError, match="the variable v"):
        verify_signatures(replace(program, variables=dict.fromkeys(program.variables, TensorType(np.int32))), [])


def test_two_signatures_or_tensors_of_one_name_are_found_out() -> None:
    with pytest.raises(CompilationError, match="two signatures have one name"):
        verify_signatures(ProgramDraft((Signature("begin"), Signature("begin"))), [])
    with pytest.raises(CompilationError, match="update has two tensors called s"):
        verify_disjoint("update", {"s": S}, {"t": ONE}, {"s": ONE})
