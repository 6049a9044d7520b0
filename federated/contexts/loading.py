"""What a manifest alone says of the computation that it was made of: its parameter's name, and its collections."""

from collections.abc import Iterator, Sequence

from federated.compiler.collections import Collections, OnDevice, own_collections
from federated.compiler.naming import leaf_paths
from federated.compiler.parameters import Part
from federated.compiler.planning import WORK
from federated.language.types import TensorType
from plans.manifest import Manifest, Pass

_ROOT = "value"


def root_in(manifest: Manifest) -> str:
    """What a parameter is called that is no structure. Where clients have it no tensor is called after it."""
    paths = [tensor.path for tensor in manifest.state.values()]
    return paths[0].partition("/")[0] if paths else _ROOT


def collections_in(manifest: Manifest, parts: Sequence[Part]) -> Collections:
    """Where a plan looks for the values of its client parameters.

    A parameter's collection is called as it is, unless `fed.on_device` said otherwise; where there is one parameter,
    its collection is the one that there is.
    """
    passes = list(_passes(manifest))
    clients = [part for part in parts if part.is_clients]
    names = {
        path: one.collection for path, one in own_collections(dict.fromkeys(p.path for p in clients)).bound.items()
    }
    if len(clients) == 1 and passes:
        names = {clients[0].path: passes[0].selector.collection}
    return Collections({part.path: _collection(part, names[part.path], passes) for part in clients})


def _collection(part: Part, name: str, passes: Sequence[Pass]) -> OnDevice:
    """A collection, with the size of its batches if it has such: its fields then lack the first axis of the tensors."""
    leaves = [(path, leaf) for path, leaf in leaf_paths(part.example, part.path) if isinstance(leaf, TensorType)]
    plain = Collections({part.path: OnDevice(name)})
    ranks = {plain.field(part.path, path): len(leaf.shape or ()) for path, leaf in leaves}
    for one in passes:
        if part.is_sequence and one.selector.collection == name:
            inputs = [(one.selector.inputs[key], port) for key, port in one.inputs.items()]
            if any(len(port.spec.shape) < ranks.get(field, 0) for field, port in inputs):
                return OnDevice(name, batch_size=one.selector.batch_size)
    return OnDevice(name)


def _passes(manifest: Manifest) -> Iterator[Pass]:
    for phase in manifest.phases:
        yield from phase.works[WORK].passes
