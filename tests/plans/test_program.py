"""Nothing reaches a runtime before its names, shapes and dtypes are right, and a refused call does no harm."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans import contract, program
from plans.errors import ProgramError
from plans.manifest import Port
from plans.program import Program, bind, unbind
from plans.runtime import installed_runtime
from tests.golden.make_refused import SCALAR_INPUT, SUM_OF_RANK_SEVEN
from tests.plans.linear import PLAN
from wire.tensors import Array, TensorSpec

F1 = np.ones(1, np.float32)
F2 = np.array([1, 2], np.float32)
BEGIN = {"w": F2, "b": F1, "client_learning_rate": F1}
BATCH = {"x": np.ones((4, 2), np.float32), "y": np.ones(4, np.float32), "example_weight": np.ones(4, np.float32)}


@pytest.fixture(scope="module")
def client() -> Program:
    return Program(PLAN.client)


@pytest.mark.parametrize("data", [b"", b"no program", PLAN.client[:1000]])
def test_bytes_that_are_no_program_are_refused(data: bytes) -> None:
    with pytest.raises(ProgramError, match=f"cannot load the program of {len(data)} bytes"):
        Program(data)


def test_a_program_tells_its_signatures_and_what_they_take_and_give(client: Program) -> None:
    assert client.signatures[:3] == ("evaluate_begin", "evaluate_finish", "evaluate_step")
    assert client.inputs("train_begin") == {
        "w": TensorSpec("float32", (2,)),
        "b": TensorSpec("float32", (1,)),
        "client_learning_rate": TensorSpec("float32", (1,)),
    }
    assert client.outputs("train_finish")["w"] == TensorSpec("float32", (2,))


REFUSED: dict[str, tuple[str, Mapping[str, Array], str]] = {
    "no such signature": ("train", {}, "no signature 'train'; it has evaluate_begin, "),
    "nothing": ("train_begin", {}, "it was given nothing"),
    "a name too few": ("train_begin", {"w": F2, "b": F1}, "train_begin takes .*; it was given w, b"),
    "a name too many": ("train_begin", {**BEGIN, "c": F1}, "it was given w, b, client_learning_rate, c"),
    "another shape": ("train_begin", {**BEGIN, "w": np.ones(3, np.float32)}, r"w must be float32\[2\], found .*\[3\]"),
    "another rank": ("train_begin", {**BEGIN, "w": np.ones((1, 2), np.float32)}, r"found the shape \[1, 2\]"),
    "a rank of zero": (
        "train_begin",
        {**BEGIN, "b": np.array(1, np.float32)},
        r"b must be float32\[1\], found the shape \[\]",
    ),
    "no elements": ("train_begin", {**BEGIN, "b": np.ones(0, np.float32)}, r"found the shape \[0\]"),
    "another dtype": ("train_begin", {**BEGIN, "w": np.ones(2)}, "found the dtype float64"),
    "integers for reals": ("train_begin", {**BEGIN, "w": np.ones(2, np.int32)}, "found the dtype int32"),
    "another byte order": ("train_begin", {**BEGIN, "w": F2.astype(">f4")}, "found the dtype >f4"),
    "text": ("train_begin", {**BEGIN, "w": np.array(["a", "b"])}, "found the dtype <U1"),
}


@pytest.mark.parametrize(("signature", "arrays", "message"), REFUSED.values(), ids=REFUSED)
def test_a_call_that_does_not_fit_is_refused_and_the_next_one_works(
    client: Program, signature: str, arrays: Mapping[str, Array], message: str
) -> None:
    with pytest.raises(ProgramError, match=message):
        client.call(signature, **arrays)
    client.call("train_begin", **BEGIN)
    client.call("train_step", **BATCH)
    assert client.call("train_finish", flag=F1)["weight"] == 4


def test_what_a_call_gives_is_the_callers_own(client: Program) -> None:
    client.call("train_begin", **BEGIN)
    client.call("train_step", **BATCH)
    first = client.call("train_finish", flag=F1)
    kept = {name: value.copy() for name, value in first.items()}
    client.call("train_step", **BATCH)
    client.call("train_finish", flag=F1)
    assert all(np.array_equal(first[name], value) for name, value in kept.items())


def test_arrays_may_lie_in_memory_as_they_like(client: Program) -> None:
    client.call("train_begin", **BEGIN)
    plain = client.call("train_step", **BATCH)
    client.call("train_begin", **BEGIN)
    strided = {name: np.repeat(value, 2, axis=0)[::2] for name, value in BATCH.items()}
    strided["x"] = np.array(strided["x"], order="F")
    assert np.array_equal(client.call("train_step", **strided)["loss"], plain["loss"])


def trained(client: Program, begin: Mapping[str, Array]) -> dict[str, Array]:
    """What a client's round gives: two steps from a beginning."""
    client.call("train_begin", **begin)
    assert len(list(client.steps("train_step", [BATCH, BATCH]))) == 2
    return client.call("train_finish", flag=F1)


@pytest.mark.parametrize("delegate", [None, False])
def test_what_nobody_can_change_goes_in_once_and_is_still_there(delegate: bool | None) -> None:
    """Between two beginnings every signature runs, so that none has its memory where another's input lies."""
    once, anew = Program(PLAN.client, delegate=delegate), Program(PLAN.client, delegate=delegate)
    kept = {name: value.copy() for name, value in BEGIN.items()}
    for value in kept.values():
        value.flags.writeable = False
    other = {name: value + 1 for name, value in BEGIN.items()}
    for begin in (kept, kept, other, kept, kept):
        fresh = {name: value.copy() for name, value in begin.items()}
        found, expected = trained(once, begin), trained(anew, fresh)
        assert all(np.array_equal(found[name], value) for name, value in expected.items())


def test_what_somebody_changed_goes_in_again(client: Program) -> None:
    begin = {name: value.copy() for name, value in BEGIN.items()}
    views = {name: value.view() for name, value in begin.items()}
    for value in views.values():
        value.flags.writeable = False
    for arrays in (begin, views):
        before = trained(client, arrays)
        begin["w"] += 1
        assert not np.array_equal(trained(client, arrays)["w"], before["w"])


def test_no_step_runs_where_one_does_not_fit(client: Program) -> None:
    client.call("train_begin", **BEGIN)
    with pytest.raises(ProgramError, match="train_step takes"):
        list(client.steps("train_step", [BATCH, {}]))
    assert client.call("train_finish", flag=F1)["weight"] == 0


LONG = Port(TensorSpec("int64", (2,)), TensorSpec("int32", (2,)))
SCALAR = Port(TensorSpec("float32", ()), TensorSpec("float32", (1,)))
FLAG = Port(TensorSpec("bool", ()), TensorSpec("float32", (1,)))


@given(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=2, max_size=2))
def test_integers_that_fit_go_in_as_int32_and_come_out_as_they_were(values: list[int]) -> None:
    tensor = np.array(values, np.int64)
    bound = bind(LONG, tensor)
    assert bound.dtype == np.int32
    np.testing.assert_array_equal(unbind(LONG, bound), tensor, strict=True)


@pytest.mark.parametrize("value", [1 << 31, -(1 << 31) - 1, 1 << 62])
def test_integers_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(ProgramError, match=r"the values of a int64 tensor do not fit int32\[2\]"):
        bind(LONG, np.array([0, value], np.int64))


@pytest.mark.parametrize("value", [0.0, -1.5, np.nan, np.inf])
def test_a_scalar_goes_in_as_a_vector_of_one(value: float) -> None:
    bound = bind(SCALAR, np.array(value, np.float32))
    np.testing.assert_array_equal(bound, np.array([value], np.float32), strict=True)
    np.testing.assert_array_equal(unbind(SCALAR, bound), np.array(value, np.float32), strict=True)


@pytest.mark.parametrize("value", [True, False])
def test_a_bool_may_go_in_as_a_number(value: bool) -> None:
    assert unbind(FLAG, bind(FLAG, np.array(value))) == value


@pytest.mark.parametrize(
    "tensor", [np.ones(1, np.float32), np.array(1.0), np.array(1)], ids=["another shape", "float64", "int64"]
)
def test_a_tensor_that_is_not_the_ports_is_refused(tensor: Array) -> None:
    with pytest.raises(ProgramError, match="expected float32, found"):
        bind(SCALAR, tensor)


def test_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProgramError, match="the signature gave no loss"):
        program.unbind_all({"loss": SCALAR}, {"other": F1})


RANK_SEVEN = np.ones((2,) * 7, np.float32)


def test_a_program_that_the_delegate_refuses_runs_without_it_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    refused = Program(SUM_OF_RANK_SEVEN.read_bytes())
    assert refused.call("count", x=F1)["calls"] == 1
    assert refused.call("add_up", x=RANK_SEVEN)["sums"].shape == (2,) * 4
    assert refused.call("count", x=F1)["calls"] == 3
    assert len(caplog.records) == (installed_runtime().name == "ai-edge-litert")


def test_a_delegate_that_is_asked_for_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    if installed_runtime().name == "ai-edge-litert":
        with pytest.raises(ProgramError, match="cannot prepare the program: failed to delegate SUM"):
            Program(SUM_OF_RANK_SEVEN.read_bytes(), delegate=True).call("count", x=F1)
    plain = Program(SUM_OF_RANK_SEVEN.read_bytes(), delegate=False)
    assert plain.call("count", x=F1)["calls"] == 1
    assert caplog.records == []


def test_a_program_with_scalar_inputs_is_refused_before_it_can_crash() -> None:
    with pytest.raises(ProgramError, match=r"add_up takes x of rank 0, .*; export the program with the shape \[1\]"):
        Program(SCALAR_INPUT.read_bytes())


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_what_comes_out(threads: int) -> None:
    client = Program(PLAN.client, threads=threads)
    client.call("train_begin", **BEGIN)
    client.call("train_step", **BATCH)
    assert client.call("train_finish", flag=F1)["weight"] == 4


def test_the_runtime_has_a_name_and_a_version() -> None:
    runtime = installed_runtime()
    assert runtime.name in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert runtime.version != "unknown"


def test_a_file_with_a_damaged_name_is_refused_as_a_program_and_not_as_a_text() -> None:
    client = PLAN.client
    damaged = client.replace(b"example_weight", b"example_\xff\xfeight")
    assert damaged != client
    with pytest.raises(ProgramError):
        contract.check_client(Program(damaged), PLAN.manifest)
