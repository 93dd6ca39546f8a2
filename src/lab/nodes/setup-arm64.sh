#!/bin/sh
# The virtual machine's start: what a distribution's init would do, and no more (systemd takes minutes under emulation).
. /etc/hcontainer-lab
export PATH=/usr/sbin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o ptmxmode=666,mode=620 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/lock /run/sshd /run/netns
# shellcheck disable=SC2046
modprobe -a $(cat /etc/hcontainer-modules)
hostname "$HOSTNAME"
# What systemd sets on 64-bit machines; the kernel's own limit, 32768, is below the numbers of the amd64 node.
echo 4194304 >/proc/sys/kernel/pid_max
ip link set lo up
for card in /sys/class/net/*; do
	case $(cat "$card/address") in
	"$MANAGEMENT_MAC") ip link set "${card##*/}" name mgmt ;;
	"$SEGMENT_MAC") ip link set "${card##*/}" name segment ;;
	esac
done
ip addr add "$MANAGEMENT_ADDRESS" dev mgmt
ip link set mgmt up
ip link add "$BRIDGE" type bridge forward_delay 0 stp_state 0
ip link set segment master "$BRIDGE" up
ip link set "$BRIDGE" up
