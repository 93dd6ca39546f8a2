// A thread that CRIU stopped in a system call. Where the kernel would restart the call by itself, CRIU's home dump
// already points at the `syscall` instruction with the call's number in rax. Calls with a time limit it turns into a
// failure with EINTR (it cannot carry over the kernel's note of the remaining time), and some calls fail with EINTR
// whenever their thread is stopped. No signal handler ran, so the program would see an EINTR that POSIX gives it no
// reason to expect: a plain `sleep` ends early, a poll loop without a handler reports an error.
//
// So calls that have no effect when they fail with EINTR are begun again: rip at the `syscall`, rax its number. The
// time away then counts as if it had not been: a relative limit starts anew, except where the kernel has already stored
// the rest for us (nanosleep with its two arguments at one place, as glibc's and busybox's sleep call it); an absolute
// limit is exact. orig_ax tells such a thread from one that has long left its call: it is negative unless the thread is
// still inside the kernel's path out of that very call.

import type { X86Registers } from "../image/index.ts";

const EINTR_RESULT = BigInt.asUintN(64, -4n);
const SYSCALL_INSTRUCTION_BYTES = 2n;

/** x86-64 numbers of calls without any effect when they fail with EINTR. */
const REPEATABLE: ReadonlySet<bigint> = new Set([
  0n, // read, as of a socket with a time limit
  1n, // write
  7n, // poll
  19n, // readv
  20n, // writev
  35n, // nanosleep
  43n, // accept
  44n, // sendto
  45n, // recvfrom
  46n, // sendmsg
  47n, // recvmsg
  65n, // semop
  128n, // rt_sigtimedwait
  202n, // futex
  220n, // semtimedop
  230n, // clock_nanosleep
  232n, // epoll_wait
  271n, // ppoll
  281n, // epoll_pwait
  288n, // accept4
  299n, // recvmmsg
  307n, // sendmmsg
  441n, // epoll_pwait2
  449n, // futex_waitv
]);

/** Points an interrupted repeatable call at its beginning, in place; says whether it did. */
export function rewindInterruptedCall(registers: X86Registers): boolean {
  if (registers.ax !== EINTR_RESULT || !REPEATABLE.has(registers.origAx)) return false;
  registers.ax = registers.origAx;
  registers.ip = BigInt.asUintN(64, registers.ip - SYSCALL_INSTRUCTION_BYTES);
  return true;
}
