#!/usr/bin/env bash
# What a pod runs: fetch the weights once, serve, pass the pod's end on to the server, and stop the
# pod when nobody calls any more. Settings: PROFILE, VOLUME, IDLE_MINUTES and all MAATA_*.
set -euo pipefail

PROFILE=${PROFILE:-l4}
VOLUME=${VOLUME:-/workspace}
IDLE_MINUTES=${IDLE_MINUTES:-30}
PORT=${PORT:-7860}

# On the volume, so that a stopped pod that starts again has its weights already.
if [ -d "$VOLUME" ] && [ -w "$VOLUME" ]; then
	export HF_HOME=$VOLUME/huggingface MAATA_CACHE=$VOLUME/cache
	export TORCHINDUCTOR_CACHE_DIR=$VOLUME/cache/inductor TRITON_CACHE_DIR=$VOLUME/cache/triton
else
	echo "start: $VOLUME cannot be written by uid $(id -u): weights go to the container's disk and" \
		"are gone when the pod stops; attach a volume, or build the image with RUN_AS=0:0" >&2
fi
# An interrupted spot pod is killed seconds after SIGTERM: callers are told in time, and their pages
# dial again. A pod on demand may give its calls more.
export MAATA_LIMITS__DRAIN_SECONDS=${MAATA_LIMITS__DRAIN_SECONDS:-3}

# RunPod's proxy gives the page its secure origin, under a name that the server does not know.
if [ -n "${RUNPOD_POD_ID:-}" ]; then
	origin=https://$RUNPOD_POD_ID-$PORT.proxy.runpod.net
	export MAATA_SERVER__ALLOWED_ORIGINS=${MAATA_SERVER__ALLOWED_ORIGINS:-[\"$origin\"]}
fi

server="" idle="" ending=""
# shellcheck disable=SC2329  # by the trap
end() {
	ending=1
	[ -z "$idle" ] || kill "$idle" 2>/dev/null || true
	[ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
}
trap end TERM INT

if [ "$PROFILE" != starter ]; then
	# Resumes what an interrupted pod had begun. In the background, for bash hears signals in `wait`.
	maata weights fetch --profile "$PROFILE" &
	server=$!
	wait "$server"
	[ -z "$ending" ] || exit 0
fi

maata serve --profile "$PROFILE" --host 0.0.0.0 --port "$PORT" &
server=$!
if [ "$IDLE_MINUTES" != 0 ]; then
	python "$(dirname "$0")/idle_stop.py" "http://127.0.0.1:$PORT" "$IDLE_MINUTES" &
	idle=$!
fi
# A trapped signal ends `wait` early, while the server is still draining.
while kill -0 "$server" 2>/dev/null; do
	wait "$server" || true
done
wait "$server" && status=0 || status=$?
[ -z "$idle" ] || kill "$idle" 2>/dev/null || true
exit "$status"
