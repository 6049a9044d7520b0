"""Builtin-only forms of TensorFlow ops and gradients, one family a file.

A *lowering* is a function that builds, with ops that TFLite has, what one op of a traced graph computes. `emit` walks a
traced function and builds it anew: lowered where `registry` has a lowering, copied where not. Why a graph is rebuilt,
rather than gradients overridden or layers replaced: it also reaches the user's own code, nested functions and second
derivatives, and forward ops that are slow as TFLite has them.
"""
