"""The log of a server on stderr: one line an event for a person, or one JSON object an event.

Set up before pipecat is imported, which greets at import. Transcripts are logged by nobody above
debug level; pipecat names unspoken text in a warning of its TTS service, which is therefore cut.
"""

import json
import sys
import traceback
from typing import Any

from loguru import logger


def set_up_log(level: str, *, as_json: bool = False) -> None:
    """Send records of `level` and above to stderr.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        as_json: every record as one object (`time`, `level`, `message`, `where`, `error`); records
            bound with json=True are JSON lines in either form, and keep their own fields.
    """
    logger.remove()

    def layout(record: Any) -> str:
        if record["extra"].get("json"):
            if not as_json:
                return "{message}\n"
            fields = json.loads(record["message"])
        elif as_json:
            fields = {"message": record["message"], "where": record["name"]}
        else:
            return "{time:HH:mm:ss.SSS} {level} {message}\n{exception}"
        about = {"time": record["time"].isoformat(), "level": record["level"].name}
        if record["exception"]:
            about["error"] = "".join(traceback.format_exception(*record["exception"]))
        record["extra"]["line"] = json.dumps({**about, **fields}, ensure_ascii=False)
        return "{extra[line]}\n"

    def wanted(record: Any) -> bool:
        if level == "DEBUG":
            return True
        return record["name"] != "pipecat" and "not speaking [" not in record["message"]

    logger.add(sys.stderr, level=level, format=layout, filter=wanted, diagnose=False)
