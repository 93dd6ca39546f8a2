// What the two nodes are made of: Debian packages, kernel modules, versions. Everything here is part of the keys under
// which the built roots are cached, so a change builds anew.

import type { Architecture } from "../host/index.ts";

export type { Architecture };

/** Debian release of both nodes. */
export const RELEASE = "trixie";
/**
 * Release that criu comes from, with libraries of its own. 4.1.1 and older cannot dump an internet socket on Linux 6.16
 * and newer: there SO_PASSCRED and SO_PASSSEC are refused on such sockets, and criu takes that for an error.
 */
export const CRIU_RELEASE = "forky";

/** Where the C library's loader and the libraries are, by architecture. */
export const TRIPLETS: Readonly<Record<Architecture, { loader: string; libraries: string }>> = {
  amd64: { loader: "usr/lib64/ld-linux-x86-64.so.2", libraries: "usr/lib/x86_64-linux-gnu" },
  arm64: { loader: "usr/lib/ld-linux-aarch64.so.1", libraries: "usr/lib/aarch64-linux-gnu" },
};

// A system without package management that runs a Docker engine. Nothing is configured, so essential packages are named.
const BOTH = [
  ...["base-files", "base-passwd", "libc-bin", "dash", "bash", "coreutils", "tar", "util-linux", "mount", "sed"],
  ...["grep", "findutils", "gzip", "hostname", "procps", "file", "busybox-static", "iproute2", "iputils-ping"],
  ...["docker.io", "docker-cli", "containerd", "runc", "iptables", "nftables"],
];

export const PACKAGES: Readonly<Record<Architecture, readonly string[]>> = {
  amd64: BOTH,
  arm64: [
    ...BOTH,
    "linux-image-arm64",
    "kmod",
    "libstdc++6",
    "podman",
    "crun",
    "openssh-server",
    "curl",
    "psmisc",
    "strace",
  ],
};

/** Modules that the virtual machine's initramfs loads to reach its root. */
export const BOOT_MODULES = ["virtio_blk", "crc32c_generic", "ext4"];

/** Modules that the virtual machine loads at its start: engine, network, and what criu asks the kernel with. */
export const NODE_MODULES = [
  ...["virtio_net", "virtio_rng", "overlay", "veth", "bridge", "br_netfilter", "tun", "dummy", "fuse"],
  ...[
    "nf_tables",
    "nft_compat",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "nft_nat",
    "nft_reject_inet",
    "nft_meta_bridge",
  ],
  ...["xt_MASQUERADE", "xt_addrtype", "xt_conntrack", "xt_mark", "xt_comment", "xt_tcpudp", "xt_nat", "xt_REDIRECT"],
  ...["nf_conntrack_netlink", "nfnetlink", "sch_netem"],
  ...["unix_diag", "inet_diag", "tcp_diag", "udp_diag", "raw_diag", "netlink_diag", "af_packet_diag"],
];

/** Directories of a root that no node needs. */
export const SUPERFLUOUS = [
  ...["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug"],
  ...["usr/lib/cni", "var/cache/apt", "var/lib/apt", "usr/share/zsh", "usr/share/fish", "usr/share/bash-completion"],
];
