"""The compiler's library of local computations, in TensorFlow."""

from collections.abc import Sequence

from federated.backends.kernels import ARITHMETIC, TensorFlowKernel
from federated.backends.local_bodies import LoadedBody, TracedBody
from federated.backends.sequences import stages_of
from federated.compiler.library import Stages
from federated.language.errors import CompilationError
from federated.language.local_body import LocalBody
from federated.language.types import TensorType


class TensorFlowLibrary:
    """See `federated.compiler.library.Library`."""

    def kernel(self, body: LocalBody) -> TensorFlowKernel:
        """A body of tensors alone."""
        assert isinstance(body, (TracedBody, LoadedBody))  # noqa: S101 - there are no others
        return TensorFlowKernel(body.name, lambda flat: body.emitted(flat)[1])

    def stages(self, body: LocalBody, arguments: Sequence[TensorType | Sequence[TensorType]]) -> Stages:
        """A body over sequences, taken apart."""
        if not isinstance(body, TracedBody):
            raise CompilationError(
                f"the local computation {body.name!r} was loaded from a document, where its sequences cannot be seen",
                fix="compile the computation where its Python function is",
            )
        return stages_of(body, arguments)

    def arithmetic(self, name: str) -> TensorFlowKernel:
        """One of the compiler's own functions."""
        return ARITHMETIC[name]
