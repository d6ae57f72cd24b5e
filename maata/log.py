"""The log of a server: one line an event on stderr; records bound with json=True are JSON lines.

Set up before pipecat is imported, which greets at import. Transcripts are logged by nobody above
debug level; pipecat names unspoken text in a warning of its TTS service, which is therefore cut.
"""

import sys
from typing import Any

from loguru import logger


def set_up_log(level: str) -> None:
    """Send records of `level` and above to stderr."""
    logger.remove()

    def layout(record: Any) -> str:
        if record["extra"].get("json"):
            return "{message}\n"
        return "{time:HH:mm:ss.SSS} {level} {message}\n{exception}"

    def wanted(record: Any) -> bool:
        if level == "DEBUG":
            return True
        return record["name"] != "pipecat" and "not speaking [" not in record["message"]

    logger.add(sys.stderr, level=level, format=layout, filter=wanted, diagnose=False)
