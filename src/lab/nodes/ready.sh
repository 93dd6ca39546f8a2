#!/bin/sh
# Waits for the engine, makes the lab's network in it, and says that the node is ready.
. /etc/hcontainer-lab
until [ -S /run/docker.sock ]; do sleep 0.1; done
docker network inspect "$NETWORK" >/dev/null 2>&1 ||
	docker network create -d bridge --subnet "$SUBNET" --ip-range "$RANGE" --gateway "$GATEWAY" \
		-o com.docker.network.bridge.name="$BRIDGE" "$NETWORK" >/run/hcontainer-network.log 2>&1 ||
	{ echo "hcontainer-lab: failed: $(cat /run/hcontainer-network.log)" >"$READY"; exit 1; }
echo "hcontainer-lab: ready" >"$READY"
