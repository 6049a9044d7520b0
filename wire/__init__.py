"""What crosses the network: messages, their JSON form, tensors, paths and error codes. Standard library and numpy."""
