#!/bin/sh
# Makes the amd64 node around itself: called as the first process of new mount, network, pid, uts and ipc namespaces
# with the lab's directory and the cached root. Everything made here dies with this process.
set -e
lab=$1 lower=$2
mount --make-rprivate /
root=$lab/amd64/root
mkdir -p "$root" "$lab/amd64/upper" "$lab/amd64/work" "$lab/amd64/docker" "$lab/amd64/containerd"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$lab/amd64/upper,workdir=$lab/amd64/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/net" "$root/dev/mqueue" "$root/run/lock"
for device in null zero full random urandom tty net/tun; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mkdir -p "$root/var/lib/docker" "$root/var/lib/containerd"
mount --bind "$lab/amd64/docker" "$root/var/lib/docker"
mount --bind "$lab/amd64/containerd" "$root/var/lib/containerd"
cp -R "$lab/amd64/files/." "$root/"
cd "$root"
mkdir -p run/old
pivot_root . run/old
umount -l /run/old
exec /usr/bin/busybox init </dev/null >/dev/null 2>&1
