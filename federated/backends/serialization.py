"""Computations as bytes, with their local bodies. TensorFlow is loaded when there is one to be read."""

from federated.language import document
from federated.language.computation import Computation
from federated.language.local_body import LocalBody
from federated.language.types import FunctionType


def serialize_computation(computation: Computation) -> bytes:
    """The bytes of a computation, a JSON document; see `federated.language.document`.

    Raises:
        MisuseError: a local computation holds something that lives in this process alone, such as a Python callback.
    """
    return document.dump(computation)


def deserialize_computation(data: bytes) -> Computation:
    """The computation that some bytes are. It gives the same results.

    Named tuples come back as named tuples of a class with the same name and fields, instances of other classes as
    `Struct`.

    Raises:
        DocumentError: the bytes are damaged, or of a newer version.
        FederatedError: the program that they hold is not sound.
    """
    return document.load(data, _load_body)


def _load_body(type_: FunctionType, data: bytes) -> LocalBody:
    from federated.backends.local_bodies import LoadedBody

    return LoadedBody(type_, data)
