"""Replays recorded training steps on the installed runtime; it needs numpy and a TFLite runtime only.

    python -m tests.model_export.replay model.tflite steps.npz [builtin]

`steps.npz` holds, for every step i, `i/start/<name>` before it, `i/fed/<name>`, and `i/moved/<name>` and `i/loss` as
Keras has them. It prints the largest absolute error of each group as JSON.
"""

import importlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def replay(tflite: bytes, steps: dict[str, Any], *, delegate: bool) -> dict[str, float]:
    """The largest absolute error over all steps, of `loss` and of each group of variables by its letter."""
    runtime = _runtime()
    resolver = runtime.OpResolverType
    chosen = resolver.AUTO if delegate else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    program = runtime.Interpreter(model_content=tflite, num_threads=1, experimental_op_resolver_type=chosen)
    train, save, restore = (program.get_signature_runner(name) for name in ("train", "save", "restore"))
    grouped: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in steps.items():
        step, _, rest = key.partition("/")
        grouped[step][rest] = value
    errors: dict[str, float] = defaultdict(float)
    for recorded in grouped.values():
        restore(**_under("start/", recorded))
        loss = train(**_under("fed/", recorded))["loss"]
        errors["loss"] = max(errors["loss"], _error(loss[0], recorded["loss"]))
        saved = save(flag=np.ones([1], np.float32))
        for name, moved in _under("moved/", recorded).items():
            errors[name[0]] = max(errors[name[0]], _error(saved[name], moved))
    return dict(errors)


def _runtime() -> Any:
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise SystemExit("no TFLite runtime is installed")


def _under(prefix: str, step: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in step.items() if name.startswith(prefix)}


def _error(found: Any, expected: Any) -> float:
    return float(np.max(np.abs(np.asarray(found, np.float64) - expected), initial=0.0))


if __name__ == "__main__":
    model, steps_file, *options = sys.argv[1:]
    with np.load(steps_file) as arrays:
        print(json.dumps(replay(Path(model).read_bytes(), dict(arrays), delegate="builtin" not in options)))
