"""Keras models and TensorFlow functions become TFLite files that train with builtin ops only, and plans around them."""
