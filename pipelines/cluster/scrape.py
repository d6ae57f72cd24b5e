"""A port of its own for the metrics of each replica: what answers through Ray's proxy is chance.

`/metrics` behind the proxy comes from whichever replica was the freest. Prometheus asks each at the
address it has, on the first free port from `server.metrics_port` on, as several share a machine.
"""

import os

from loguru import logger
from prometheus_client import CollectorRegistry, Info, start_http_server

from maata.profile import ServerSettings

PORTS = 16  # looked at, from the first one on


def serve_metrics(registry: CollectorRegistry, settings: ServerSettings, name: str) -> int:
    """Serve a registry, if the profile names a port.

    Args:
        registry: of the replica's application.
        settings: `metrics_port` is the first port tried, `metrics_host` the address.
        name: of the replica; `maata_replica_info` has it.

    Returns:
        The port; 0 for none.
    """
    about = {"replica": name, "pid": str(os.getpid())}
    Info("maata_replica", "Which replica this is.", registry=registry).info(about)
    if not settings.metrics_port:
        return 0
    for port in range(settings.metrics_port, settings.metrics_port + PORTS):
        try:
            start_http_server(port, addr=settings.metrics_host, registry=registry)
        except OSError:
            continue
        logger.info("metrics of replica {} on {}:{}", name, settings.metrics_host, port)
        return port
    logger.error(
        "no metrics of replica {}: ports {} to {} are taken; set server.metrics_port",
        name,
        settings.metrics_port,
        settings.metrics_port + PORTS - 1,
    )
    return 0
