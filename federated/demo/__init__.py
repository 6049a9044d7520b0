"""A whole federation on one machine: a server and its devices, each a process of its own, and nothing simulated."""
