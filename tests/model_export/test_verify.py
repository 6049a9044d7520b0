"""A file that computes something else than its model is refused, whichever group of variables shows it."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from model_export.convert import convert
from model_export.errors import VerificationError
from model_export.export import learner_of
from model_export.learner import Learner
from model_export.progress import silent
from model_export.signatures import conventional
from model_export.verify import verify_conventional
from tests.model_export.zoo import LOGITS, around, mlp

pytestmark = pytest.mark.tensorflow

losses, optimizers = keras.losses, keras.optimizers
BATCH = 4


def _learner(model: Any, **options: Any) -> Learner:
    given = {"loss": LOGITS, "optimizer": optimizers.SGD(0.05)} | options
    return learner_of(model, given["loss"], given["optimizer"], BATCH, ())


def _normalised(momentum: float) -> Learner:
    keras.utils.clear_session()  # so that layers get the same names again
    return _learner(around(layers.Dense(4), layers.BatchNormalization(momentum=momentum)))


def _dropped(rate: float) -> Learner:
    keras.utils.clear_session()
    return _learner(around(layers.Dense(8), layers.Dropout(rate)))


def _regularised(strength: float) -> Learner:
    return _learner(mlp(kernel_regularizer=keras.regularizers.L2(strength)))


# what differs -> the learner of a file, made from this or that number, and the signature and group that show it
DIFFERENCES: dict[str, tuple[Callable[[float], Learner], float, float, str, str]] = {
    "momentum of statistics": (_normalised, 0.9, 0.91, "train", "s"),
    "dropout": (_dropped, 0.4, 0.41, "train", "loss"),
    "regulariser": (_regularised, 0.01, 0.011, "evaluate", "loss"),
    "loss": (lambda delta: _learner(mlp(3), loss=losses.Huber(delta)), 0.5, 0.52, "evaluate", "loss"),
    "rate": (lambda rate: _learner(mlp(), optimizer=rate), 0.05, 0.051, "train", "p"),
    "clipping": (lambda norm: _learner(mlp(), optimizer=optimizers.SGD(0.05, clipnorm=norm)), 0.1, 0.11, "train", "p"),
    "decay": (
        lambda decay: _learner(mlp(), optimizer=optimizers.AdamW(0.1, weight_decay=decay)),
        0.1,
        0.2,
        "train",
        "p",
    ),
    "slots": (lambda beta: _learner(mlp(), optimizer=optimizers.Adam(1e-9, beta_2=beta)), 0.9, 0.8, "train", "o"),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_file_of_another_model_is_refused(difference: str) -> None:
    make, one, other, signature, group = DIFFERENCES[difference]
    learner = make(one)
    tflite = convert(conventional(learner), learner.variables, learner.model.layers, silent)
    verify_conventional(tflite, learner)
    with pytest.raises(VerificationError) as caught:
        verify_conventional(tflite, make(other))
    assert caught.value.signature == signature
    assert caught.value.tensor.startswith(group)
