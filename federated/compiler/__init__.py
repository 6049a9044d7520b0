"""From a federated computation to a plan, one pass a file.

inlining      the graph becomes tensors and the operations between them, each at one placement (`flat`)
phases        which operations belong to which round trip between server and clients
sections      which operations belong into which signature, and what crosses from one to the next
client_part   begin, the passes over examples, finish
server_part   prepare, update
planning      the manifest, and the two programs, which `federated.backends` writes
verifying     holds what each pass gave against what the next one builds on
"""
