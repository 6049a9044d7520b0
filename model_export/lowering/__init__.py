"""Builtin-only forms of TensorFlow ops and gradients, one family a file."""
