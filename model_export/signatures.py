"""The conventional signatures of an exported model: `train`, `evaluate`, `infer`, `save`, `restore`.

    train(x, y, weight)     -> loss                      one step; the weighted mean loss before it
    evaluate(x, y, weight)  -> <metric>_sum, <metric>_count   for the loss and every metric
                                                  (an AUC has vectors: auc_true_positives_sum, …; model_export.auc)
    infer(x)                -> output
    save(flag)              -> one tensor a parameter, statistic and slot
    restore(what save gave) -> restored          1 when done

Training that is saved after any step and restored goes on as if it had not stopped: the slots hold the optimizer's
memory, its step counter and the seed. Scalars have shape [1] and every signature has an input, because some runtimes
can do no less.
"""

from typing import Any

import tensorflow as tf

from model_export.file_variables import assign_all, read_all, specs
from model_export.learner import SCALAR, Learner, Measurement
from model_export.signature import Signature
from plans.program import FLAG


def conventional(learner: Learner) -> tuple[Signature, ...]:
    """The five signatures, which share the learner's variables."""

    def restore(**values: Any) -> dict[str, Any]:
        assign_all(learner.kept, values)
        return {"restored": tf.ones([1])}

    return (
        Signature("train", learner.batch, lambda **batch: {"loss": learner.train(**batch).mean_loss}),
        Signature("evaluate", learner.batch, lambda **batch: sums_and_counts(learner.evaluate(**batch))),
        Signature("infer", {"x": learner.batch["x"]}, lambda x: {"output": learner.infer(x)}),
        Signature("save", {FLAG: SCALAR}, lambda flag: read_all(learner.kept)),
        Signature("restore", specs(learner.kept), restore),
    )


def sums_and_counts(measurement: Measurement) -> dict[str, Any]:
    """`<metric>_sum` and `<metric>_count` for all that was measured; a count is the sum of the weights."""
    sums = {f"{name}_sum": value for name, value in measurement.sums.items()}
    return sums | {f"{name}_count": measurement.weight for name in measurement.sums}
