"""The only modules of this package that load TensorFlow."""
