"""A worker that does each point and says that it is over, as one whose process is spoilt."""

import json
import sys

if __name__ == "__main__":
    sys.stdin.readline()
    print(json.dumps({"row": {"stage": "tick"}}), flush=True)
    print(json.dumps({"done": True, "over": True}), flush=True)
