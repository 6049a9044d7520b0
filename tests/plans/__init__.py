"""Tests of what a round is, on the golden plan: TFLite without TensorFlow."""
