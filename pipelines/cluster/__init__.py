"""Past one machine: the same server as replicas on a Ray cluster.

A replica is a process with engines of its own, pinned to its GPUs, that runs the application of
`pipelines.server`; Ray Serve places replicas, hands each caller to one, and adds and ends them.
"""
