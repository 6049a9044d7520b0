"""The commands beside `fedelta export`: one a file. TensorFlow is loaded only by those that need it, when they run."""
