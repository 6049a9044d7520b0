"""State that clients keep: the same in the local context, from a draft and in the plan context, over several runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.errors import CompilationError, ExecutionError, MisuseError, TypeMismatchError
from federated.simulation import DeviceStates
from plans.manifest import HAS_STATE
from tests.federated.compiler.draft_runner import draft_of, run_draft
from tests.federated.numpy_computations import numpy_computation

FLOAT = fed.to_type(np.float32)
AT_CLIENTS, AT_SERVER = fed.FederatedType(np.float32, fed.CLIENTS), fed.FederatedType(np.float32, fed.SERVER)
PAIR = fed.StructType([FLOAT, FLOAT])


@numpy_computation(PAIR, PAIR)
def accumulate(kept: Any, x: Any) -> Any:
    """What was there and what comes, twice."""
    return np.float32(kept + x), np.float32(kept + x)


@numpy_computation(PAIR, fed.StructType([FLOAT, PAIR]))
def remember(kept: Any, x: Any) -> Any:
    """The last value is kept; the one before comes out beside it."""
    return x, (kept, x)


@fed.federated_computation(AT_CLIENTS, AT_SERVER)
def ledger(readings: Any, first: Any) -> Any:
    """Σ of everything that every client has ever had, each from `first`."""
    totals = fed.federated_map_with_state(accumulate, fed.federated_broadcast(first), readings)
    return fed.federated_sum(totals)


@fed.federated_computation(AT_CLIENTS)
def two_memories(readings: Any) -> Any:
    """Two operators with a state each, the second of which sees what the first gives."""
    zero = fed.federated_value(np.float32(0), fed.CLIENTS)
    totals = fed.federated_map_with_state(accumulate, zero, readings)
    pairs = fed.federated_map_with_state(remember, zero, totals)
    return fed.federated_sum(pairs)


@fed.federated_computation(AT_CLIENTS)
def unused(readings: Any) -> Any:
    """What comes of the state is used by nobody; it is kept all the same."""
    zero = fed.federated_value(np.float32(0), fed.CLIENTS)
    fed.federated_map_with_state(accumulate, zero, readings)
    return fed.federated_sum(readings)


def locally(computation: Any, *args: Any) -> Any:
    with fed.local_context():
        return computation(*args)


def from_a_draft(computation: Any, *args: Any) -> Any:
    return run_draft(computation, *args)


def as_a_plan(computation: Any, *args: Any) -> Any:
    with fed.plan_context(threads=2):
        return computation(*args)


WAYS = [locally, from_a_draft]


@pytest.mark.parametrize("run", WAYS)
def test_every_client_goes_on_from_what_it_kept(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    with states.of(["a", "b"]):
        assert run(ledger, [1.0, 2.0], 10.0) == 23
    with states.of(["b", "c"]):
        assert run(ledger, [5.0, 7.0], 20.0) == (12 + 5) + (20 + 7)
    with states.of(["c", "a"]):
        assert run(ledger, [1.0, 1.0], 30.0) == (27 + 1) + (11 + 1)


@pytest.mark.parametrize("run", WAYS)
def test_operators_have_states_of_their_own(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    found = []
    for values in ([1.0, 10.0], [2.0, 20.0], [3.0, 30.0]):
        with states.of(["a", "b"]):
            found.append(tuple(float(one) for one in run(two_memories, values)))
    assert found == [(0, 11), (11, 33), (33, 66)]


@pytest.mark.parametrize("run", WAYS)
def test_a_state_is_kept_whether_or_not_anything_uses_it(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    for _ in range(2):
        with states.of(["a"]):
            run(unused, [3.0])
    kept = states.read("unused", "a")
    assert kept is not None
    assert kept["kept__0_0"] == 6


@pytest.mark.parametrize("run", WAYS)
def test_another_store_begins_anew_and_so_does_another_computation(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    for store in (states, DeviceStates()):
        with store.of(["a"]):
            assert run(ledger, [1.0], 0.0) == 1
    with states.of(["a"]):
        assert [float(one) for one in run(two_memories, [1.0])] == [0, 1]
        assert run(ledger, [1.0], 0.0) == 2


@pytest.mark.parametrize("run", WAYS)
def test_state_of_another_type_begins_anew(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    states.write("ledger", "a", {"kept__0_0": np.zeros(3, np.float32)})
    with states.of(["a"]):
        assert run(ledger, [1.0], 5.0) == 6


@pytest.mark.parametrize("run", WAYS)
def test_clients_that_nobody_knows_are_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(ExecutionError, match="nothing says who they are: places in a list are no ids"):
        run(ledger, [1.0], 0.0)
    with DeviceStates().of(["a"]), pytest.raises(ExecutionError, match="ids of 1 clients, but 2 take part"):
        run(ledger, [1.0, 2.0], 0.0)
    with pytest.raises(ExecutionError, match="a client is there twice"), DeviceStates().of(["a", "a"]):
        pass


@pytest.mark.parametrize("run", WAYS)
def test_a_run_that_fails_keeps_nothing_of_the_client_that_failed(run: Callable[..., Any]) -> None:
    states = DeviceStates()
    with states.of(["a"]), pytest.raises(ExecutionError, match=r"finite"), np.errstate(over="ignore"):
        run(ledger, [3e38], 3e38)
    assert states.read("ledger", "a") is None


def test_the_plan_says_what_devices_keep() -> None:
    (work,) = draft_of(two_memories, [1.0]).manifest.works.values()
    assert work.device_state.keys() == {"kept__0_0", "kept__1_0"}
    assert "device_state" in work.features
    begin = next(one for one in draft_of(two_memories, [1.0]).client.signatures if one.name == work.begin)
    assert begin.inputs.keys() == {"kept__0_0", "kept__1_0", HAS_STATE}


def test_state_over_two_round_trips_is_refused_by_the_compiler() -> None:
    @fed.federated_computation(AT_CLIENTS)
    def twice(readings: Any) -> Any:
        mean = fed.federated_broadcast(fed.federated_sum(readings))
        return fed.federated_sum(fed.federated_map_with_state(accumulate, mean, readings))

    with pytest.raises(CompilationError, match="state is kept in one round trip"):
        draft_of(twice, [1.0])
    with DeviceStates().of(["a"]):
        assert locally(twice, [1.0]) == 2


@pytest.mark.tensorflow
@pytest.mark.parametrize("case", ["ledger", "two_memories"])
def test_the_plan_context_gives_what_the_local_one_gives(case: str) -> None:
    import tensorflow as tf

    @fed.tf_computation(np.float32, np.float32)
    def add(kept: Any, x: Any) -> Any:
        return kept + x, {"total": kept + x, "is_larger": tf.cast(kept > x, tf.int32)}

    @fed.tf_computation(fed.to_type((np.bool_, np.int32)), np.float32)
    def count(kept: Any, x: Any) -> Any:
        was_over, times = kept
        is_over = x > 4.0
        return (is_over, times + tf.cast(is_over, tf.int32)), tf.cast(was_over, tf.int32) * times

    @fed.federated_computation(fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS), AT_SERVER)
    def streams(data: Any, first: Any) -> Any:
        sums = fed.sequence_sum(data)
        totals = fed.federated_map_with_state(add, fed.federated_broadcast(first), sums)
        if case == "ledger":
            return fed.federated_sum(totals.total), fed.federated_sum(totals.is_larger)
        none = fed.federated_value((np.bool_(False), np.int32(0)), fed.CLIENTS)
        return fed.federated_sum(fed.federated_map_with_state(count, none, sums)), fed.federated_sum(totals.total)

    cohorts = (["a", "b"], ["b", "c"], ["a", "b"], ["c", "b"])
    found: dict[Callable[..., Any], list[list[float]]] = {}
    for run in (locally, as_a_plan):
        states, found[run] = DeviceStates(), []
        for number, ids in enumerate(cohorts):
            with states.of(ids):
                data = [[float(number), 3.0], [2.0, 4.0, 1.0]]
                found[run].append([float(one) for one in run(streams, data, 10.0 * number)])
    assert found[as_a_plan] == found[locally]
    assert len({tuple(one) for one in found[locally]}) == len(cohorts)


SEQUENCES = fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS)
WRONG: dict[str, tuple[Callable[..., Any], Any, type[Exception], str]] = {
    "a state at the server": (
        lambda x, s: fed.federated_map_with_state(accumulate, s, x),
        AT_CLIENTS,
        fed.PlacementError,
        "federated_map_with_state's initial takes a value at CLIENTS",
    ),
    "a sequence as the state": (
        lambda x, s: fed.federated_map_with_state(lambda kept, y: (kept, y), x, x),
        SEQUENCES,
        MisuseError,
        r"state is made of numbers of known shape, found float32\*",
    ),
    "a function that gives no pair": (
        lambda x, s: fed.federated_map_with_state(lambda kept, y: kept, x, x),
        AT_CLIENTS,
        MisuseError,
        "fn gives a pair, the next state and the result, found float32",
    ),
    "another state than the one before": (
        lambda x, s: fed.federated_map_with_state(lambda kept, y: ((kept, kept), y), x, x),
        AT_CLIENTS,
        TypeMismatchError,
        "fn gives another state than it takes",
    ),
}


@pytest.mark.parametrize(("body", "parameter", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_state_is_refused(
    body: Callable[..., Any], parameter: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fed.federated_computation(body, parameter, AT_SERVER)
