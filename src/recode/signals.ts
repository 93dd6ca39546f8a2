// Signal actions and masks. Abroad, what the guest asked for is in ProcState and ThreadState; the kernel is told of the
// runtime's handler wherever the guest has one, and of SIG_DFL and SIG_IGN as they are, since the kernel acts on those.

import { QUIESCE_SIGNAL } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import type { SaEntry, SignalQueueEntry, TaskCoreEntry } from "../image/index.ts";
import type { StructView } from "./struct-view.ts";

const SIGNALS = 64;
/** SIGKILL and SIGSTOP have no action. */
const UNCATCHABLE: ReadonlySet<number> = new Set([9, 19]);
/** The signals that CRIU keeps actions of, in its order. */
const CATCHABLE: readonly number[] = Array.from({ length: SIGNALS }, (_, i) => i + 1).filter(
  (signal) => !UNCATCHABLE.has(signal),
);

const SA = {
  noChildStop: 1n,
  noChildWait: 2n,
  siginfo: 4n,
  restorer: 0x0400_0000n,
  onStack: 0x0800_0000n,
  restart: 0x1000_0000n,
} as const;
const SIG_IGN = 1n;
const ALL = 0xffff_ffff_ffff_ffffn;
const QUIESCE_BIT = 1n << BigInt(QUIESCE_SIGNAL - 1);

/** Where the runtime takes signals from the host. */
export interface HostHandler {
  readonly handler: bigint;
  readonly restorer: bigint;
}

function checkActions(core: TaskCoreEntry, place: string): void {
  if (core.sigactions.length !== CATCHABLE.length) {
    throw new InputError(
      "image-sigactions",
      `${core.sigactions.length} signal actions instead of ${CATCHABLE.length}`,
      place,
      "make the checkpoint with CRIU 4.1.1 or newer",
    );
  }
}

function hostAction(action: SaEntry, host: HostHandler): void {
  action.flags =
    (action.flags & (SA.noChildStop | SA.noChildWait | SA.restart)) | SA.siginfo | SA.onStack | SA.restorer;
  action.handler = host.handler;
  action.restorer = host.restorer;
  action.mask = ALL & ~QUIESCE_BIT;
}

/** Moves the guest's actions into `proc` and puts the host's in their place. */
export function actionsToForeign(core: TaskCoreEntry, proc: StructView, host: HostHandler, place: string): void {
  checkActions(core, place);
  CATCHABLE.forEach((signal, index) => {
    const action = core.sigactions[index]!;
    const guest = proc.element("sigactions", signal - 1);
    guest.set("handler", action.handler);
    guest.set("flags", action.flags);
    guest.set("restorer", action.restorer);
    guest.set("mask", action.mask);
    if (action.handler > SIG_IGN || signal === QUIESCE_SIGNAL) {
      if (action.handler <= SIG_IGN) action.flags = 0n;
      hostAction(action, host);
    } else {
      // A restorer of the guest's means nothing here, and the kernel never uses one for these.
      action.flags &= ~SA.restorer;
      action.restorer = 0n;
    }
  });
}

/** Puts the guest's actions back from `proc`. */
export function actionsToHome(core: TaskCoreEntry, proc: StructView, place: string): void {
  checkActions(core, place);
  CATCHABLE.forEach((signal, index) => {
    const action = core.sigactions[index]!;
    const guest = proc.element("sigactions", signal - 1);
    action.handler = guest.get("handler");
    action.flags = guest.get("flags");
    action.restorer = guest.get("restorer");
    action.mask = guest.get("mask");
  });
}

/** The mask that the host keeps for a guest that blocks `mask`: the node can always ask to quiesce. */
export function hostMask(mask: bigint): bigint {
  return mask & ~QUIESCE_BIT;
}

/** Removes pending quiesce signals of a node from a queue, in place: they must not reach the guest at home. */
export function dropQuiesceSignals(queue: SignalQueueEntry | undefined): void {
  if (!queue) return;
  queue.signals = queue.signals.filter(({ siginfo }) => {
    if (siginfo.length < 20) return true;
    const view = new DataView(siginfo.buffer, siginfo.byteOffset, siginfo.byteLength);
    // si_signo, and si_pid: 0 when the sender is outside of the pid namespace.
    return !(view.getInt32(0, true) === QUIESCE_SIGNAL && view.getInt32(16, true) === 0);
  });
}
