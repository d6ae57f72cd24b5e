#!/usr/bin/env bash
# One virtual machine without containers: the agent as a systemd service behind Caddy.
# Run as root in a checkout, on Debian 12 or Ubuntu 24.04:
#
#   DOMAIN=call.example.org PROFILE=starter deploy/vm/install.sh
#
# Run it again after an update: the running calls are finished first.
set -euo pipefail

DOMAIN=${DOMAIN:-localhost}
PROFILE=${PROFILE:-starter}
TARGET=/opt/maata
HERE=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
	echo "install: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "installing a service needs root: sudo $0"
command -v systemctl >/dev/null || fail "no systemd here: use the containers (compose.yaml)"
if [ "$PROFILE" != starter ] && ! nvidia-smi >/dev/null 2>&1; then
	fail "profile $PROFILE needs a GPU and nvidia-smi does not answer: install NVIDIA's driver, or PROFILE=starter"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq make python3 python3-venv rsync caddy >/dev/null
[ "$PROFILE" = starter ] || apt-get install -y -qq gcc libc6-dev >/dev/null # torch compiles
python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
	fail "python3 is $(python3 --version): 3.11, 3.12 or 3.13 is needed"
if ! [ -f "$HERE/pipelines/page/index.html" ]; then
	node --version 2>/dev/null | grep -qE '^v(2[0-9]|[3-9][0-9])\.' ||
		fail "the page is not built and there is no Node 20 or newer to build it: run 'make page' in a checkout on another machine and copy pipelines/page here"
	make -C "$HERE" page
fi

id maata >/dev/null 2>&1 || useradd --system --home-dir /var/cache/maata --shell /usr/sbin/nologin maata
mkdir -p "$TARGET"
rsync -a --delete --exclude .git --exclude .venv --exclude node_modules --exclude runs --exclude calls \
	"$HERE/" "$TARGET/"
make -C "$TARGET" setup
cublas=""
if [ "$PROFILE" != starter ]; then
	# CTranslate2 loads CUDA 12's cuBLAS, whatever torch brings.
	VIRTUAL_ENV=$TARGET/.venv "$TARGET/.venv/bin/uv" pip install --quiet nvidia-cublas-cu12==12.9.3.13
	cublas=$(echo "$TARGET"/.venv/lib/python3.*/site-packages/nvidia/cublas/lib)
fi
chown -R root:root "$TARGET"

if ! [ -f /etc/maata.env ]; then
	umask 077
	cat >/etc/maata.env <<ENV
PROFILE=$PROFILE
LD_LIBRARY_PATH=$cublas
MAATA_LOG_JSON=1
MAATA_LIMITS__DRAIN_SECONDS=300
# What callers must show; empty: everybody may call.
MAATA_TOKEN=
# Of an account that has accepted the terms of the gated models.
HF_TOKEN=
ENV
fi
if [ "$PROFILE" != starter ]; then
	# As the service's user, into the service's cache; goes on where it stopped.
	install -d -o maata -g maata /var/cache/maata
	(
		set -a
		# shellcheck disable=SC1091
		. /etc/maata.env
		HF_HOME=/var/cache/maata/huggingface runuser -u maata -- "$TARGET/.venv/bin/maata" weights fetch --profile "$PROFILE"
	)
fi

install -m 644 "$HERE/deploy/vm/maata.service" /etc/systemd/system/maata.service
install -m 644 "$HERE/deploy/Caddyfile" /etc/caddy/Caddyfile
# The distributions' Caddy is older than this option; without it a reload of Caddy ends calls.
caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile >/dev/null 2>&1 ||
	sed -i '/stream_close_delay/d' /etc/caddy/Caddyfile
mkdir -p /etc/systemd/system/caddy.service.d
printf '[Service]\nEnvironment=DOMAIN=%s AGENT=127.0.0.1:7860\n' "$DOMAIN" \
	>/etc/systemd/system/caddy.service.d/maata.conf

systemctl daemon-reload
systemctl enable --quiet maata caddy
systemctl restart maata caddy

echo "waiting for the models"
for _ in $(seq 600); do
	if python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:7860/ready", timeout=2)' 2>/dev/null; then
		echo "ready https://$DOMAIN"
		exit 0
	fi
	systemctl is-active --quiet maata || fail "the service ended: journalctl -u maata -n 30"
	sleep 1
done
fail "not ready after ten minutes: journalctl -u maata -n 30"
