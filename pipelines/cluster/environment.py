"""What the processes of a cluster must find in their environment, on every machine.

Ray reads these when a process starts, so they belong into the environment of `ray start`
(`deploy/ray/ray.env`) and into the pods of KubeRay.
"""

VARIABLES = {
    # Nothing is told to Ray's makers.
    "RAY_USAGE_STATS_ENABLED": "0",
    # A caller whose replica died is told so, and the page dials again (`proxy.py`).
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "pipelines.cluster.proxy:middlewares",
    # A message crosses one event loop of the replica instead of two in two threads, which takes a
    # twentieth less processor time (measured). The second is for code that blocks; ours does not.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}
# For a cluster of this machine alone, which `maata serve --ray` starts itself.
ALONE = {
    # Ray's own ports listen on the loopback. Its name is of the systems for which it was made.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray Serve's own log stays in its files (/tmp/ray/session_latest/logs/serve).
    "RAY_SERVE_LOG_TO_STDERR": "0",
    # A line of a replica's log is a line here; Ray would fold lines that look alike.
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    # A busy machine takes longer than the 30 s that Ray gives the agents of a node.
    "RAY_agent_register_timeout_ms": "120000",
}
