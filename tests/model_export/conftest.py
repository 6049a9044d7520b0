"""Without TensorFlow these tests are not collected; with it, it is told to be quiet before it starts."""

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

if importlib.util.find_spec("tensorflow") is None:
    collect_ignore_glob = ["test_*.py"]

# Keras 3.15 copies its variables with np.array, whose copy keyword TensorFlow 2.21's variables do not know yet.
_KERAS_COPIES = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings(_KERAS_COPIES))
