// The lab's addresses. They live in a network namespace of the lab's own, so they collide with nothing of the machine.
// One segment (a bridge of the amd64 node with the virtual machine's tap in it) carries the containers of both nodes; a
// second tap, outside the segment, carries ssh to the virtual machine.

/** The name that the segment has as a Docker network, on both nodes. */
export const NETWORK = "hclab";
/** The bridge of the segment; it has this name on both nodes. */
export const BRIDGE = "hclab0";
export const SUBNET = "10.217.0.0/24";

/** What differs between the two engines' views of the segment: gateway, and the range that they choose addresses from. */
export const SEGMENT = {
  amd64: { gateway: "10.217.0.1", range: "10.217.0.64/26" },
  arm64: { gateway: "10.217.0.2", range: "10.217.0.128/26" },
} as const;

/** A network namespace on the segment for clients of the containers. */
export const CLIENT = { name: "client", address: "10.217.0.10", prefix: 24, mac: "02:68:63:00:00:10" } as const;

/** The tap that carries ssh, and its two ends. */
export const MANAGEMENT = { tap: "hcmgmt", amd64: "10.217.1.1", arm64: "10.217.1.2", prefix: 24 } as const;
/** The tap that makes the virtual machine a port of the bridge. */
export const SEGMENT_TAP = "hcport";

/** The virtual machine's network cards. */
export const MACS = { management: "02:68:63:00:01:02", segment: "02:68:63:00:00:02" } as const;
