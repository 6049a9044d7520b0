"""What can be exported, read off the registry of lowerings: families with their ops, and the ops that are copied."""

from collections.abc import Iterator
from dataclasses import dataclass

from model_export.lowering import registry, support

_HEAD = """\
# What can be trained on a device

Written by `fedelta export ops --markdown`; do not edit.

An export traces what Keras and your own functions compute, gradients included, and builds it anew with ops that \
TFLite's plain runtimes have. So coverage is a matter of TensorFlow ops, not of layers: a layer can be trained if \
every op of its forward pass and of its gradient stands below. One that does not is refused by name, with its \
layer and the line that wrote it, before anything is converted; and every export is held against Keras, number by \
number.

To cover another op, build what it computes with ops that TFLite has:

```python
import tensorflow as tf
from model_export import register_lowering


@register_lowering("Cross")
def cross(op, inputs, scope):
    (a, b, c), (x, y, z) = (tf.unstack(value, axis=-1) for value in inputs)
    return [tf.stack([b * z - c * y, c * x - a * z, a * y - b * x], -1)]
```
"""


@dataclass(frozen=True)
class Family:
    """Ops that are lowered in one file: its name, what it says of itself in a sentence or two, and the ops, sorted."""

    name: str
    summary: str
    ops: tuple[str, ...]


def families() -> tuple[Family, ...]:
    """Every family of lowerings, by name."""
    found = (
        Family(module.__name__.rpartition(".")[2], _first_line(module.__doc__), tuple(sorted(module.LOWERINGS)))
        for module in registry.FAMILIES
    )
    return tuple(sorted(found, key=lambda family: family.name))


def copied_ops() -> tuple[str, ...]:
    """The ops that TFLite has as they are, and that no family lowers."""
    lowered = {op for family in families() for op in family.ops}
    return tuple(sorted(support.BUILTIN - lowered))


def markdown() -> str:
    """The page `docs/what-can-be-trained.md`."""
    return "\n".join([_HEAD, *_family_lines(), *_copied_lines()]) + "\n"


def text() -> str:
    """The same for a terminal: a family a line, its ops below."""
    lines = [f"{family.name}: {family.summary}\n  {' '.join(family.ops)}" for family in families()]
    return "\n".join([*lines, f"copied as they are:\n  {' '.join(copied_ops())}"])


def _family_lines() -> Iterator[str]:
    lowered = sum(len(family.ops) for family in families())
    yield f"## {lowered} ops that are built anew\n"
    yield "| family | what it is | TensorFlow ops |"
    yield "| --- | --- | --- |"
    for family in families():
        source = f"../model_export/lowering/{family.name}.py"
        yield f"| [{family.name}]({source}) | {family.summary} | {_quoted(family.ops)} |"


def _copied_lines() -> Iterator[str]:
    yield f"\n## {len(copied_ops())} ops that are copied\n"
    yield "TFLite has these as they are, for the dtypes " + _quoted(sorted(support.DTYPES)) + ":\n"
    yield _quoted(copied_ops()) + "."
    yield "\nAbout any other op TensorFlow's converter is asked, with a program of that op alone."


def _quoted(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _first_line(documentation: str | None) -> str:
    return (documentation or "").strip().partition("\n")[0]
