"""The client's loop goes through the examples that its selector says, and equals numpy."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans import client
from plans.client import ClientResult
from plans.errors import ProgramError, UnfitExamplesError
from plans.manifest import Order, Selector, Work
from plans.program import Program
from tests.plans.linear import BROADCAST, PASS, PLAN, TRAIN, Rows, in_order, passing, rows, selecting, trained
from wire.tensors import Array

SELECTORS = st.builds(
    Selector,
    collection=st.just("default"),
    inputs=st.just({}),
    batch_size=st.integers(1, 7),
    epochs=st.integers(1, 3),
    order=st.sampled_from(Order),
    limit=st.none() | st.integers(1, 12),
    drop_remainder=st.booleans(),
)


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(PLAN.client)


def run(program: Program, examples: Any, work: Work = TRAIN, seed: int = 7, **changes: Any) -> ClientResult:
    return client.run(program, work, BROADCAST | changes, {"default": examples}, seed=seed)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 10])
def test_training_equals_numpy(program: Program, count: int) -> None:
    result = run(program, rows(count))
    expected = trained(rows(count), in_order(count))
    for name, value in (result.update | result.metrics).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
    assert result.examples == count


def test_one_step_equals_stochastic_gradient_descent_to_a_millionth(program: Program) -> None:
    result = run(program, rows(4))
    expected = trained(rows(4), in_order(4))
    for name in ("w", "b", "weight"):
        np.testing.assert_allclose(result.update[name] / 4, np.asarray(expected[name]) / 4, atol=1e-6)


def test_epochs_go_through_the_examples_again(program: Program) -> None:
    result = run(program, rows(6), selecting(epochs=3))
    expected = trained(rows(6), in_order(6, epochs=3))
    np.testing.assert_allclose(result.update["w"], expected["w"], rtol=1e-5)
    assert result.examples == result.update["weight"] == 18


def test_a_limit_takes_the_first_examples(program: Program) -> None:
    assert same(run(program, rows(10), selecting(limit=6)), run(program, rows_of(rows(10), range(6))))


def test_shuffled_examples_come_in_the_order_of_the_seed(program: Program) -> None:
    work = selecting(order=Order.SHUFFLED)
    first, again, other = (run(program, rows(10), work, seed=seed) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    expected = trained(rows(10), list(client.batches(work.passes[0].selector, 10, seed=1)))
    np.testing.assert_allclose(first.update["w"], expected["w"], rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_what_stands_in_the_padding_changes_nothing(program: Program, count: int) -> None:
    """The same steps as `client.run`, but the padding holds large numbers in the place of zeros."""
    result = run(program, rows(count))
    program.call("train_begin", **{name: value.reshape(value.shape or 1) for name, value in BROADCAST.items()})
    for indices in in_order(count):
        x, y = np.full((4, 2), 1e6, np.float32), np.full(4, -1e6, np.float32)
        x[: len(indices)], y[: len(indices)] = rows(count).x[indices], rows(count).y[indices]
        program.call("train_step", x=x, y=y, example_weight=(np.arange(4) < len(indices)).astype(np.float32))
    padded = program.call("train_finish", flag=np.ones(1, np.float32))
    assert all(np.array_equal(padded[name].ravel(), value.ravel()) for name, value in result.update.items())


def test_no_examples_give_an_update_of_weight_zero(program: Program) -> None:
    result = run(program, rows(0))
    assert result.examples == 0
    assert all(not value.any() for value in result.update.values())


def test_a_run_leaves_nothing_behind_for_the_next(program: Program) -> None:
    first = run(program, rows(10))
    run(program, rows(7, seed=3), w=np.array([50, -50], np.float32))
    assert same(run(program, rows(10)), first)


def test_every_batch_is_told(program: Program) -> None:
    told: list[tuple[int, int]] = []
    client.run(
        program,
        selecting(epochs=2),
        BROADCAST,
        {"default": rows(6)},
        seed=7,
        on_step=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


class TooLateError(Exception):
    pass


def test_what_is_raised_after_a_batch_ends_the_run_and_the_next_one_works(program: Program) -> None:
    def stop(done: int, total: int) -> None:
        raise TooLateError

    with pytest.raises(TooLateError):
        client.run(program, TRAIN, BROADCAST, {"default": rows(10)}, seed=7, on_step=stop)
    assert run(program, rows(10)).examples == 10


class Fields:
    """Two examples with any fields."""

    def __init__(self, **fields: Array) -> None:
        self._fields = fields

    def __len__(self) -> int:
        return 2

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {name: values[indices] for name, values in self._fields.items()}


X, Y = np.ones((2, 2), np.float32), np.ones(2, np.float32)
UNFIT = {
    "a field is missing": (Fields(x=X), "no field 'y' for the input 'y'; they have x"),
    "another shape": (Fields(x=X[:, :1], y=Y), r"'x' has examples float32\[1\], expected float32\[2\]"),
    "another dtype": (Fields(x=X, y=Y.astype(np.float64)), "found the dtype float64"),
}


@pytest.mark.parametrize(("examples", "message"), UNFIT.values(), ids=UNFIT)
def test_examples_that_do_not_fit_are_refused(program: Program, examples: Fields, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        run(program, examples)


def test_a_broadcast_that_does_not_fit_is_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match=r"expected float32\[2\], found float32\[3\]"):
        run(program, rows(2), w=np.zeros(3, np.float32))


def test_a_broadcast_without_a_tensor_is_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match="the broadcast has no b, client_learning_rate"):
        client.run(program, TRAIN, {"w": BROADCAST["w"]}, {"default": rows(2)}, seed=7)


@given(SELECTORS, st.integers(0, 20), st.integers(0, 1 << 31))
def test_every_epoch_goes_through_each_selected_example_once(selector: Selector, count: int, seed: int) -> None:
    made = list(client.batches(selector, count, seed))
    kept = count if selector.limit is None else min(count, selector.limit)
    if selector.drop_remainder:
        assert all(len(batch) == selector.batch_size for batch in made)
        kept -= kept % selector.batch_size
    flat = [index for batch in made for index in batch]
    assert len(made) == client.step_count(selector, count)
    assert all(1 <= len(batch) <= selector.batch_size for batch in made)
    assert len(flat) == kept * selector.epochs
    for epoch in range(selector.epochs):
        chosen = flat[epoch * kept : (epoch + 1) * kept]
        assert len(set(chosen)) == kept
        assert all(0 <= index < count for index in chosen)
        if selector.order is Order.STORED:
            assert chosen == list(range(kept))
        if selector.order is Order.NEWEST:
            assert chosen == list(range(count))[::-1][:kept]
    assert list(client.batches(selector, count, seed)) == made


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 7))
def test_how_many_examples_a_batch_holds_does_not_change_an_evaluation(count: int, split: int) -> None:
    program, work = EVALUATION, PLAN.manifest.work("evaluate")
    whole = client.run(program, work, BROADCAST, {"default": rows(count)}, seed=0)
    parts = [range(start, min(start + split, count)) for start in range(0, count, split)]
    taken = [{"default": rows_of(rows(count), part)} for part in parts]
    separate = [client.run(program, work, BROADCAST, examples, seed=0) for examples in taken]
    for name, value in whole.metrics.items():
        np.testing.assert_allclose(sum(result.metrics[name] for result in separate), value, rtol=1e-5)


EVALUATION = Program(PLAN.client)


def rows_of(examples: Rows, indices: range) -> Rows:
    return Rows(examples.x[list(indices)], examples.y[list(indices)])


def same(one: ClientResult, other: ClientResult) -> bool:
    """Bit for bit."""
    updates_equal = all(np.array_equal(value, other.update[name]) for name, value in one.update.items())
    return updates_equal and one.metrics == other.metrics and one.examples == other.examples


@pytest.mark.parametrize("value", [-1.0, 10.0])
def test_values_that_mean_nothing_to_the_plan_are_refused_without_saying_which(program: Program, value: float) -> None:
    inputs = PASS.inputs | {"y": replace(PASS.inputs["y"], smallest=0, largest=9)}
    examples = Rows(np.zeros((5, 2), np.float32), np.array([0, 9, 3, 3, value], np.float32))
    with pytest.raises(UnfitExamplesError, match="the field 'y' holds values outside 0 to 9") as refused:
        run(program, examples, passing(inputs=inputs))
    assert str(value) not in str(refused.value)
