"""Which TFLite runtime is installed, and how it opens a file.

The runtimes share one interface and differ in manners: more than one thread never helped tflite-runtime 2.14, whose
thread pool makes a small step forty times slower, and the interpreter inside TensorFlow warns that it will be removed.
"""

import importlib
import importlib.metadata
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

from plans.errors import ProgramError

_SINGLE_THREADED = "tflite-runtime"
# In the order of preference: the current runtime, the one it replaced, and the one inside TensorFlow, each with the
# distributions that may have brought it.
_RUNTIMES = (
    ("ai_edge_litert.interpreter", ("ai-edge-litert",)),
    ("tflite_runtime.interpreter", (_SINGLE_THREADED,)),
    ("tensorflow.lite.python.interpreter", ("tensorflow", "tensorflow-cpu")),
)


@dataclass(frozen=True)
class Runtime:
    """An installed runtime: the distribution's name and version, and the module that has its `Interpreter`."""

    name: str
    version: str
    module: Any

    def open(self, tflite: bytes, *, threads: int, delegate: bool) -> Any:
        """An interpreter of a file; see `plans.program.Program` for the arguments. The runtime's errors escape."""
        kind = "AUTO" if delegate else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
            return self.module.Interpreter(
                model_content=tflite,
                num_threads=1 if self.name == _SINGLE_THREADED else threads,
                experimental_op_resolver_type=getattr(self.module.OpResolverType, kind),
            )


@cache
def installed_runtime() -> Runtime:
    """The runtime that programs run on.

    Raises:
        ProgramError: none is installed.
    """
    for name, distributions in _RUNTIMES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return Runtime(distributions[0], _version(distributions), module)
    raise ProgramError(
        "no TFLite runtime is installed: pip install 'fedelta[device]', or 'fedelta[device-tflite-runtime]' where "
        "ai-edge-litert has no wheel"
    )


def _version(distributions: tuple[str, ...]) -> str:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
