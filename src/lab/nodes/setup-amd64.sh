#!/bin/sh
# The amd64 node's network: the segment's bridge, the virtual machine's taps, the clients' namespace.
set -e
exec >/var/log/setup.log 2>&1
set -x
. /etc/hcontainer-lab
hostname "$HOSTNAME"
ip link set lo up
ip link add "$BRIDGE" type bridge forward_delay 0 stp_state 0
ip link set "$BRIDGE" up
ip tuntap add "$SEGMENT_TAP" mode tap
ip link set "$SEGMENT_TAP" master "$BRIDGE" up
ip tuntap add "$MANAGEMENT_TAP" mode tap
ip addr add "$MANAGEMENT_ADDRESS" dev "$MANAGEMENT_TAP"
ip link set "$MANAGEMENT_TAP" up
mkdir -p /run/netns
ip netns add "$CLIENT"
ip link add "$CLIENT" type veth peer name eth0 address "$CLIENT_MAC" netns "$CLIENT"
ip link set "$CLIENT" master "$BRIDGE" up
ip -n "$CLIENT" addr add "$CLIENT_ADDRESS" dev eth0
ip -n "$CLIENT" link set lo up
ip -n "$CLIENT" link set eth0 up
: >/run/hcontainer-network
