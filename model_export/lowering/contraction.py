"""Einstein sums as transposes and one matrix product, which is how Keras writes attention and `EinsumDense`.

With the labels of the two operands sorted into those of both and of the output (batch b), of both only (summed s), of
the left only (m) and of the right only (n):

    [b, m, s] · [b, s, n] → [b, m, n]

and a label that stands in one operand only and not in the output is summed first. The converter's own form makes ranks
above four, which no runtime speeds up.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.linear import matmul
from model_export.lowering.scope import Scope


def _einsum(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    equation = op.get_attr("equation").decode().replace(" ", "")
    left, _, output = equation.partition("->")
    terms = left.split(",")
    terms, output = _named(terms, output, inputs)
    if any(len(set(term)) < len(term) for term in (*terms, output)):
        raise LoweringError(f"computes {equation}, which takes the diagonal of an operand; write it without einsum")
    sizes: dict[str, int] = {}
    for term, x in zip(terms, inputs, strict=True):
        for label, size in zip(term, x.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise LoweringError(f"computes {equation} and repeats an operand of size one; repeat it with tf.tile")
    if len(terms) == 1:
        kept = [label for label in terms[0] if label in output]
        return [_transposed(_summed(inputs[0], terms[0], kept), kept, output)]
    return [_product(inputs, terms, output, sizes)]


def _named(terms: Sequence[str], output: str, inputs: Sequence[Any]) -> tuple[list[str], str]:
    """The same terms with letters of their own for what an ellipsis stands for."""
    letters = "".join(chr(ord("\u03b1") + index) for index in range(20))
    lengths = [x.shape.rank - len(term.replace("...", "")) for term, x in zip(terms, inputs, strict=True)]
    longest = max((n for n, term in zip(lengths, terms, strict=True) if "..." in term), default=0)
    named = [
        term.replace("...", letters[longest - length : longest]) for term, length in zip(terms, lengths, strict=True)
    ]
    return named, output.replace("...", letters[:longest])


def _product(inputs: Sequence[Any], terms: Sequence[str], output: str, sizes: dict[str, int]) -> Any:
    (a, b), (left, right) = inputs, terms
    a = _summed(a, left, [label for label in left if label in right + output])
    b = _summed(b, right, [label for label in right if label in left + output])
    batch = [label for label in output if label in left and label in right]
    summed = [label for label in left if label in right and label not in output]
    rows = [label for label in output if label in left and label not in right]
    columns = [label for label in output if label in right and label not in left]

    def flat(x: Any, term: str, *groups: Sequence[str]) -> Any:
        order = [label for group in groups for label in group]
        kept = [label for label in term if label in order]
        return tf.reshape(_transposed(x, kept, order), [_size(group, sizes) for group in groups])

    x, y = flat(a, left, batch, rows, summed), flat(b, right, batch, summed, columns)
    if batch:
        product = tf.raw_ops.BatchMatMulV2(x=x, y=y)
    else:
        product = matmul(tf.reshape(x, x.shape[1:]), tf.reshape(y, y.shape[1:]))
    made = [*batch, *rows, *columns]
    return _transposed(tf.reshape(product, [sizes[label] for label in made]), made, output)


def _size(labels: Sequence[str], sizes: dict[str, int]) -> int:
    return math.prod(sizes[label] for label in labels)


def _summed(x: Any, term: str, kept: Sequence[str]) -> Any:
    axes = [axis for axis, label in enumerate(term) if label not in kept]
    return tf.reduce_sum(x, axes) if axes else x


def _transposed(x: Any, labels: Sequence[str], order: Sequence[str]) -> Any:
    """The tensor with its axes, named by labels, in another order."""
    permutation = [labels.index(label) for label in order]
    return x if permutation == sorted(permutation) else tf.transpose(x, permutation)


LOWERINGS = {"Einsum": _einsum}
