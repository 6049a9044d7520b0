"""Numbers by step as TensorBoard reads them, written by TensorFlow."""

from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

_SUFFIX = ".fedelta"
# What `tf.summary.scalar` says of a number; that function itself needs TensorBoard to be installed.
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
).SerializeToString()


class ScalarFile:
    """A file of events in a folder, in the place of one that an earlier run left there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob(f"events.out.tfevents.*{_SUFFIX}"):
            earlier.unlink()
        self._writer = tf.summary.create_file_writer(str(folder), filename_suffix=_SUFFIX)

    def add(self, scalars: Iterable[tuple[int, str, float]]) -> None:
        """Write the step, the name and the value of each; they are in the file when it returns."""
        with self._writer.as_default():
            for step, name, value in scalars:
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=_SCALAR)
        self._writer.flush()
