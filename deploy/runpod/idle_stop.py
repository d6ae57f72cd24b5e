"""Stops the pod that nobody has called for a while: `idle_stop.py http://127.0.0.1:7860 MINUTES`.

A stopped pod costs its volume only. Asks the server how many calls there are, and RunPod to stop
this pod, which RunPod names in RUNPOD_POD_ID and gives RUNPOD_API_KEY for. Time before the server
first takes calls does not count: fetching weights is not idling.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

API = "https://rest.runpod.io/v1"
PERIOD = 15.0  # seconds between two looks


def active_calls(server: str) -> int | None:
    """Calls now; None while the server takes none."""
    try:
        with urllib.request.urlopen(f"{server}/ready", timeout=5):
            pass
        with urllib.request.urlopen(f"{server}/api/info", timeout=5) as reply:
            return int(json.load(reply)["active_calls"])
    except (OSError, ValueError, KeyError):
        return None


def wait_idle(
    calls: Callable[[], int | None],
    seconds: float,
    *,
    period: float = PERIOD,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns when there was no call at any look for so many seconds on end."""
    since: float | None = None
    while True:
        active = calls()
        if active != 0:
            since = None
        elif since is None:
            since = now()
        elif now() - since >= seconds:
            return
        sleep(period)


def stop_pod(pod: str, key: str, api: str = API) -> None:
    """Ask RunPod to stop the pod. Raises urllib.error.URLError when it does not."""
    request = urllib.request.Request(
        f"{api}/pods/{pod}/stop", method="POST", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def main() -> int:
    """Wait, stop; a refusal of RunPod's is tried again, since the pod costs money until then."""
    server, minutes = sys.argv[1], float(sys.argv[2])
    pod, key = os.environ.get("RUNPOD_POD_ID"), os.environ.get("RUNPOD_API_KEY")
    if not (pod and key):
        print("idle_stop: no RUNPOD_POD_ID and RUNPOD_API_KEY: stop the pod yourself", flush=True)
        return 0
    while True:
        wait_idle(lambda: active_calls(server), minutes * 60)
        print(f"idle_stop: no call for {minutes:g} minutes; stopping pod {pod}", flush=True)
        try:
            stop_pod(pod, key)
            return 0
        except urllib.error.URLError as e:
            print(f"idle_stop: RunPod did not stop it ({e}); trying again later", flush=True)


if __name__ == "__main__":
    sys.exit(main())
