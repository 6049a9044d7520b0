"""Where a client parameter's values are on a device: a collection of examples, and the fields of one example.

A parameter that is no sequence is one example, the newest unless said otherwise. A sequence is all examples, or, with
a batch size, batches of so many; a last batch that is short is left out, or padded where the elements have a weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federated.compiler.naming import identifiers
from federated.language.errors import CompilationError, MisuseError
from federated.language.origin import here
from plans.manifest import Order, Selector
from wire.tensors import NAME_PATTERN

VALUE = "value"
"""The field of a parameter that is one tensor."""


@dataclass(frozen=True)
class OnDevice:
    """A collection on each device, for one parameter of a computation; made by `on_device`.

    Attributes:
        fields: the collection's field for each tensor of an example, by its path in the parameter (`x`, `pixels/red`;
            `value` where the example is one tensor). A tensor that is not here has its path as its field.
        batch_size: None for one example at a time.
        weight: the path of the tensor that is 1 for an example of a batch and 0 for padding, if there is one.
    """

    collection: str
    fields: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None
    order: Order | None = None
    limit: int | None = None
    epochs: int = 1
    weight: str | None = None


def on_device(
    collection: str,
    *,
    field: str | None = None,
    fields: Mapping[str, str] | None = None,
    batch_size: int | None = None,
    order: str | None = None,
    limit: int | None = None,
    epochs: int = 1,
    weight: str | None = None,
) -> OnDevice:
    """Bind a client parameter to a collection of every device's own examples.

    Args:
        field: the field that holds the value, where an example is one tensor; `value` unless said.
        fields: the field for each tensor of an example, where they are not called alike.
        batch_size: a sequence's elements are batches of so many examples.
        order: `stored`, `shuffled` or `newest`; a sequence is taken as stored, one example is the newest.
        limit: at most so many examples.
        epochs: how many times a sequence is gone through.
        weight: the tensor of a batch, by its path in an element, that the device fills with 1 for an example and 0 for
            padding: with it, a last batch that is short is padded in the place of being left out.

    Example:
        >>> bind = {"readings": fed.on_device("temperature", field="celsius")}
    """
    if not isinstance(collection, str) or not NAME_PATTERN.fullmatch(collection):
        raise MisuseError(
            f"a collection's name is made of lower-case letters, digits and _, found {collection!r}",
            where=here(),
            fix="rename the collection on the devices",
        )
    if field is not None and fields is not None:
        raise MisuseError("on_device takes a field or fields, not both", where=here())
    for name, number in (("batch_size", batch_size), ("limit", limit), ("epochs", epochs)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise MisuseError(f"on_device's {name} is an integer of at least 1, found {number!r}", where=here())
    try:
        chosen = None if order is None else Order(order)
    except ValueError:
        raise MisuseError(f"on_device's order is {_listed(Order)}, found {order!r}", where=here()) from None
    named = fields or {} if field is None else {VALUE: field}
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for pair in named.items() for name in pair):
        raise MisuseError(
            f"on_device's fields are names, found {fields if field is None else field!r}",
            where=here(),
            fix="write field='…', or fields={'…': '…'} with the collection's field for each tensor",
        )
    return OnDevice(collection, dict(named), batch_size, chosen, limit, epochs, weight)


@dataclass(frozen=True)
class Collections:
    """The collections of a computation's client parameters, by the parameter's path.

    Attributes:
        bound: what was said of them; a parameter that is not here has a collection of its own name.
    """

    bound: Mapping[str, OnDevice] = field(default_factory=dict)

    def of(self, owner: str) -> OnDevice:
        """The collection of a parameter."""
        return self.bound.get(owner) or OnDevice(identifiers([owner])[0])

    def selector(self, owner: str, paths: Mapping[str, str], *, is_sequence: bool) -> Selector:
        """Which examples go through a pass.

        Args:
            paths: the path of the tensor that each input of the pass takes.

        Raises:
            CompilationError: a field is bound that the parameter does not have.
        """
        chosen = self.of(owner)
        weight = self.weight_input(owner, paths)
        inputs = {name: self.field(owner, path) for name, path in paths.items() if name != weight}
        if not is_sequence:
            return Selector(chosen.collection, inputs, 1, order=chosen.order or Order.NEWEST, limit=1)
        size = chosen.batch_size or 1
        return Selector(
            chosen.collection,
            inputs,
            size,
            chosen.epochs,
            chosen.order or Order.STORED,
            chosen.limit,
            drop_remainder=size > 1 and weight is None,
        )

    def weight_input(self, owner: str, paths: Mapping[str, str]) -> str | None:
        """The input of a pass that is 1 for an example and 0 for padding, if there is one."""
        weight = self.of(owner).weight
        return next(
            (name for name, path in paths.items() if weight is not None and inside(owner, path) == weight), None
        )

    def check_fields(self, owner: str, paths: list[str]) -> None:
        """Refuse a field or a weight that is bound to nothing.

        Raises:
            CompilationError: see above.
        """
        known = {inside(owner, path) for path in paths}
        chosen = self.of(owner)
        if unknown := sorted({*chosen.fields, *([chosen.weight] if chosen.weight else [])} - known):
            raise CompilationError(
                f"on_device binds {unknown[0]!r} of the parameter {owner!r}, which has {', '.join(sorted(known))}",
                fix="name the collection's fields by those: fields={tensor: field}",
            )

    def field(self, owner: str, path: str) -> str:
        """The field that holds the tensor at a path."""
        relative = inside(owner, path)
        return self.of(owner).fields.get(relative, relative.replace("/", "_"))


def own_collections(batch_sizes: Mapping[str, int | None]) -> Collections:
    """A collection for each client parameter, called as it is; with the size of its batches, where it has such."""
    names = identifiers(list(batch_sizes))
    return Collections(
        {path: OnDevice(name, batch_size=size) for name, (path, size) in zip(names, batch_sizes.items(), strict=True)}
    )


def inside(owner: str, path: str) -> str:
    """A tensor's path in its parameter; `value` where it is the whole."""
    return path[len(owner) :].strip("/") or VALUE


def _listed(order: type[Order]) -> str:
    return ", ".join(repr(member.value) for member in order)
