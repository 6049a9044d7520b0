"""A model file predicts with a checkpoint's values, and nothing else is taken for one."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from plans import bundle, inference
from plans.errors import InvalidPlanError, ProgramError
from tests.plans.linear import PLAN, STATE, rows
from wire import tensors

# The golden plan has no signature that is for predicting; one that evaluates a batch serves as well.
PREDICTING = replace(PLAN, manifest=replace(PLAN.manifest, infer="evaluate_step"))
CHECKPOINT = tensors.encode(STATE)
DATA = inference.model_of(PREDICTING, "ab" * 32, CHECKPOINT)


def test_a_model_predicts_with_the_values_of_its_checkpoint() -> None:
    examples = rows(4)
    weight = np.ones(4, np.float32)
    (given,) = inference.Model(DATA).predict(x=examples.x, y=examples.y, example_weight=weight).values()
    other = inference.model_of(PREDICTING, "ab" * 32, tensors.encode(dict(STATE) | {"w": np.zeros(2, np.float32)}))
    (of_other,) = inference.Model(other).predict(x=examples.x, y=examples.y, example_weight=weight).values()
    error = examples.x @ STATE["w"] + STATE["b"] - examples.y
    np.testing.assert_allclose(given.ravel()[0], np.mean(error**2), rtol=1e-5)
    np.testing.assert_allclose(of_other.ravel()[0], np.mean((STATE["b"] - examples.y) ** 2), rtol=1e-5)


def test_the_same_checkpoint_makes_the_same_bytes_and_says_where_it_comes_from() -> None:
    assert inference.model_of(PREDICTING, "ab" * 32, CHECKPOINT) == DATA
    record = inference.Model(DATA).record
    assert (record.plan_sha256, record.checkpoint_sha256) == ("ab" * 32, bundle.digest(CHECKPOINT))


def test_a_plan_that_cannot_predict_makes_no_model() -> None:
    with pytest.raises(ProgramError, match="names no signature that predicts"):
        inference.model_of(PLAN, "ab" * 32, CHECKPOINT)


def test_a_checkpoint_of_another_plan_makes_no_model() -> None:
    with pytest.raises(InvalidPlanError, match="not a state of the plan"):
        inference.model_of(PREDICTING, "ab" * 32, tensors.encode({"w": np.zeros(2, np.float32)}))


def changed(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        return bundle.zipped(change({name: archive.read(name) for name in archive.namelist()}))


DAMAGED = {
    "nothing": b"",
    "no zip": b"model",
    "cut": DATA[:-10],
    "a plan": bundle.pack(PLAN),
    "no values": changed(lambda held: {name: held[name] for name in list(held)[:2]}),
    "another order": changed(lambda held: dict(reversed(held.items()))),
    "no record": changed(lambda held: held | {inference.RECORD: b"{}"}),
    "a newer format": changed(
        lambda held: (
            held | {inference.RECORD: held[inference.RECORD].replace(b'"format_version":1', b'"format_version":2')}
        )
    ),
    "no tensors": changed(lambda held: held | {inference.VALUES: b"\xff" * 8}),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_model_file_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPlanError):
        inference.Model(data)
