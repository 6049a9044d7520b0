"""The Python of `model_export/README.md` runs as it stands there."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import model_export
from plans.program import Program, unbind_all
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

README = (Path(__file__).parents[2] / "model_export" / "README.md").read_text()
KNOWN: dict[str, Any] = {
    "keras": keras,
    "model_export": model_export,
    "np": np,
    "tf": tf,
    "Program": Program,
    "TensorSpec": TensorSpec,
    "unbind_all": unbind_all,
}


def _run(index: int, **names: Any) -> dict[str, Any]:
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[index]
    scope = KNOWN | names
    exec(block, scope)  # noqa: S102 - our own document
    return scope


def test_a_model_trains_in_four_lines() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y, weight = np.ones((4, 3), np.float32), np.zeros(4, np.int32), np.ones(4, np.float32)
    scope = _run(0, model=model, loss=loss, x=x, y=y, weight=weight)
    assert scope["loss"] > 0
    assert set(scope["exported"].parameters) <= scope["parameters"].keys()


def test_functions_share_state(capsys: pytest.CaptureFixture[str]) -> None:
    _run(1)
    comment = re.search(r"print\(.*# (.*)", README)
    assert comment is not None
    assert capsys.readouterr().out.strip() == comment[1]
