// Seccomp filters. A container's filter speaks of x86-64 system calls; abroad the kernel sees the foreign ones that the
// runtime makes in their place. So a filter is rewritten: for every x86-64 number the original is run symbolically
// (bpf.ts), what it decides about arguments is moved to where the foreign call has them, and of all the x86-64 calls that
// become one foreign call the most permissive decision counts, since the kernel cannot tell them apart. Numbers that no
// x86-64 call becomes get what the original gives to a number that does not exist.
//
// The original is kept behind the rewritten program, where no jump leads, and the kernel hands out the whole when the
// process is dumped. The last three instructions say so (SECCOMP_ORIGINAL_MAGIC in src/abi). Filters that the guest sets
// abroad have the same form: there the runtime itself runs the original (runtime/seccomp.c).

import {
  HOST_SYSCALLS,
  type HostCall,
  SECCOMP_ORIGINAL_MAGIC as MAGIC,
  RUNTIME_SYSCALLS,
  SYSCALLS,
} from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import {
  type Changes,
  decodeSingle,
  encodeRecords,
  type ImageSource,
  readImage,
  readWhole,
  type SeccompEntry,
  SeccompEntrySchema,
} from "../image/index.ts";
import {
  constant,
  DATA,
  type Decision,
  decodeProgram,
  encodeProgram,
  Graph,
  type Instruction,
  MAX_INSTRUCTIONS,
  OP,
  specialise,
  type Value,
} from "./bpf.ts";
import { emitFilter, type Range } from "./bpf-emit.ts";

const SECCOMP = "seccomp.img";
const AUDIT_ARCH_X86_64 = 0xc000_003e;
const AUDIT_ARCH_AARCH64 = 0xc000_00b7;
const TRAILER = 3;
/** No system call of any architecture has this number, and the bit of the x32 ABI is clear. */
const NO_CALL = 0x3fff_ffff;

/** Actions from the least to the most permissive; a filter's return value is an action and 16 bits of data. */
const ACTIONS = [
  0x8000_0000, // kill the process
  0x0000_0000, // kill the thread
  0x0003_0000, // trap
  0x0005_0000, // fail with an errno
  0x7fc0_0000, // ask a listener
  0x7ff0_0000, // ask a tracer
  0x7ffc_0000, // allow and log
  0x7fff_0000, // allow
];
const ALLOW = 0x7fff_0000;
const LOG = 0x7ffc_0000;
const KILL_PROCESS = 0x8000_0000;

/** SIGCHLD; for vfork with CLONE_VM, CLONE_VFORK and the runtime's CLONE_SETTLS. */
const FORK_FLAGS = 0x11n;
const VFORK_FLAGS = 0x8_4111n;

/**
 * Arguments that the runtime computes, but of which a filter may still be asked: host call by x86-64 name → where each
 * of its arguments comes from. The runtime never adds a namespace flag, so a filter on clone's flags keeps its meaning.
 */
const RELATED: Readonly<Record<string, HostCall["arguments"]>> = {
  clone: [{ kind: "guest", index: 0 }],
  fork: [{ kind: "constant", value: FORK_FLAGS }],
  vfork: [{ kind: "constant", value: VFORK_FLAGS }],
};

function refuse(code: string, message: string, place: string, advice: string): never {
  throw new InputError(code, message, place, advice);
}

function rank(value: number): number {
  return ACTIONS.indexOf((value & 0xffff_0000) >>> 0);
}

/** Rewrites one filter. */
class Rewriter {
  private readonly place: string;
  private readonly graph: Graph;
  private readonly moved = new Map<string, Decision>();
  private readonly joined = new Map<string, Decision>();

  constructor(place: string) {
    this.place = place;
    this.graph = new Graph(place);
  }

  rewrite(original: readonly Instruction[]): Instruction[] {
    const decide = (number: number): Decision =>
      specialise(this.graph, original, AUDIT_ARCH_X86_64, number, this.place);
    // By host call: what each of the home calls that become it is allowed.
    const cases = new Map<number, { decision: Decision; call: HostCall; name: string }[]>();
    for (const row of SYSCALLS) {
      if (row.host.length === 0) continue;
      const home = decide(row.number);
      for (const call of row.host) {
        const decision = this.moveArguments(home, call, row.name);
        cases.set(call.number, [...(cases.get(call.number) ?? []), { decision, call, name: row.name }]);
      }
    }
    const decisions = new Map<number, Decision>();
    for (const [number, list] of cases) {
      const first = list[0]!.decision;
      const isAgreed = list.every(({ decision }) => decision === first);
      const parts = list.map(({ decision, call, name }) => this.onlyAsMade(decision, call, name));
      decisions.set(number, isAgreed ? first : parts.reduce((x, y) => this.mostPermissive(x, y)));
    }
    // What no guest's call becomes (returning from a signal, say) is the runtime's alone: the filter knows nothing of it.
    for (const name of RUNTIME_SYSCALLS) {
      const number = HOST_SYSCALLS[name];
      if (!decisions.has(number)) decisions.set(number, this.graph.return(constant(ALLOW)));
    }
    this.checkRuntime(decisions);
    const unknown = decide(NO_CALL);
    const fallback = this.moveArguments(unknown, { number: NO_CALL, name: "", arguments: [] }, "unknown");
    const otherwise = this.graph.return(constant(KILL_PROCESS));
    return emitFilter(AUDIT_ARCH_AARCH64, ranges(decisions, fallback), otherwise, this.place);
  }

  /** A decision about a guest's call as one about the host's. */
  private moveArguments(decision: Decision, call: HostCall, name: string): Decision {
    const source = `${name} ${call.number}`;
    const move = (node: Decision): Decision => {
      this.graph.step();
      const key = `${source} ${this.graph.number(node)}`;
      const known = this.moved.get(key);
      if (known) return known;
      const result =
        node.kind === "return"
          ? this.graph.return(this.moveValue(node.value, call, name))
          : this.graph.branch(
              node.comparison,
              this.moveValue(node.left, call, name),
              this.moveValue(node.right, call, name),
              move(node.ifTrue),
              move(node.ifFalse),
            );
      this.moved.set(key, result);
      return result;
    };
    return move(decision);
  }

  private moveValue(value: Value, call: HostCall, name: string): Value {
    if (value.kind === "constant") return value;
    if (value.kind === "alu") {
      const [left, right] = [this.moveValue(value.left, call, name), this.moveValue(value.right, call, name)];
      return { ...value, left, right };
    }
    if (value.offset < DATA.arguments) {
      refuse("seccomp-pointer", "a seccomp filter asks for the instruction pointer", this.place, PROFILE);
    }
    const index = (value.offset - DATA.arguments) >> 3;
    const half = (value.offset - DATA.arguments) & 4;
    const sources = RELATED[name] ?? call.arguments;
    // An argument that is the guest's own at its own place needs no entry.
    const at = sources.findIndex((source) => source.kind === "guest" && source.index === index);
    if (at >= 0) return { kind: "word", offset: DATA.arguments + at * 8 + half };
    if (index >= sources.length) return value;
    const own = sources[index]!;
    if (own.kind === "constant" && RELATED[name])
      return constant(Number((own.value >> BigInt(half * 8)) & 0xffff_ffffn));
    return refuse(
      "seccomp-argument",
      `a seccomp filter tests argument ${index} of ${name}, which ${call.name} abroad does not have`,
      this.place,
      PROFILE,
    );
  }

  /** A decision about a host call whose arguments are partly fixed counts only when they are so. */
  private onlyAsMade(decision: Decision, call: HostCall, name: string): Decision {
    const least = this.graph.return(constant(KILL_PROCESS));
    let result = decision;
    (RELATED[name] ?? call.arguments).forEach((source, index) => {
      if (source.kind !== "constant") return;
      // The kernel looks at the low half of the flags and descriptors that are fixed.
      const word: Value = { kind: "word", offset: DATA.arguments + index * 8 };
      const fixed = constant(Number(BigInt.asUintN(32, source.value)));
      result = this.graph.branch("eq", word, fixed, result, least);
    });
    return result;
  }

  private mostPermissive(a: Decision, b: Decision): Decision {
    if (a === b) return a;
    this.graph.step();
    const key = `${this.graph.number(a)} ${this.graph.number(b)}`;
    const known = this.joined.get(key);
    if (known) return known;
    let result: Decision;
    if (a.kind === "branch") {
      const { comparison, left, right } = a;
      const ifTrue = this.mostPermissive(a.ifTrue, b);
      result = this.graph.branch(comparison, left, right, ifTrue, this.mostPermissive(a.ifFalse, b));
    } else if (b.kind === "branch") {
      result = this.mostPermissive(b, a);
    } else {
      if (a.value.kind !== "constant" || b.value.kind !== "constant") {
        return refuse("seccomp-filter", "a seccomp filter returns a computed value", this.place, PROFILE);
      }
      result = rank(a.value.value) >= rank(b.value.value) ? a : b;
    }
    this.joined.set(key, result);
    return result;
  }

  /** The runtime's own calls must get through whatever their arguments are. */
  private checkRuntime(decisions: ReadonlyMap<number, Decision>): void {
    const forbidden = RUNTIME_SYSCALLS.filter((name) => {
      const decision = decisions.get(HOST_SYSCALLS[name]);
      return decision !== undefined && !this.allowsAlways(decision);
    });
    if (forbidden.length === 0) return;
    refuse(
      "seccomp-runtime",
      `the container's seccomp filter forbids what translated code needs: ${forbidden.join(", ")}`,
      this.place,
      PROFILE,
    );
  }

  private allowsAlways(decision: Decision, seen = new Set<Decision>()): boolean {
    if (seen.has(decision)) return true;
    seen.add(decision);
    if (decision.kind === "branch") {
      return this.allowsAlways(decision.ifTrue, seen) && this.allowsAlways(decision.ifFalse, seen);
    }
    const { value } = decision;
    return value.kind === "constant" && [ALLOW, LOG].includes((value.value & 0xffff_0000) >>> 0);
  }
}

const PROFILE = "run the container with Docker's default seccomp profile, or with --security-opt seccomp=unconfined";

/** Ranges of numbers with one decision each, from 0 on. */
function ranges(decisions: ReadonlyMap<number, Decision>, fallback: Decision): Range[] {
  const result: Range[] = [{ first: 0, decision: decisions.get(0) ?? fallback }];
  const last = Math.max(0, ...decisions.keys());
  for (let number = 1; number <= last + 1; number++) {
    const decision = decisions.get(number) ?? fallback;
    if (decision !== result.at(-1)!.decision) result.push({ first: number, decision });
  }
  return result;
}

/** A filter for x86-64 as one for arm64, with the original kept inside. */
export function filterToForeign(bytes: Uint8Array, place: string): Uint8Array<ArrayBuffer> {
  const original = decodeProgram(bytes, place);
  const program = new Rewriter(place).rewrite(original);
  const length = program.length + original.length + TRAILER;
  if (length > MAX_INSTRUCTIONS) {
    refuse("seccomp-size", `the filter takes ${length} instructions abroad, of ${MAX_INSTRUCTIONS}`, place, PROFILE);
  }
  const plain = (code: number, k: number): Instruction => ({ code, jt: 0, jf: 0, k });
  return encodeProgram([
    ...program,
    ...original,
    plain(OP.loadImmediate, original.length),
    plain(OP.loadImmediate, MAGIC),
    plain(OP.returnK, MAGIC),
  ]);
}

/** The original of a rewritten filter. */
export function filterToHome(bytes: Uint8Array, place: string): Uint8Array<ArrayBuffer> {
  const program = decodeProgram(bytes, place);
  const [length, mark, end] = program.slice(-TRAILER);
  const isOurs = mark?.code === OP.loadImmediate && mark.k === MAGIC && end?.code === OP.returnK && end.k === MAGIC;
  if (!isOurs || length!.k === 0 || length!.k > program.length - TRAILER) {
    refuse(
      "seccomp-foreign",
      "a seccomp filter is neither from home nor the program's own",
      place,
      "end the process that has it",
    );
  }
  return encodeProgram(program.slice(program.length - TRAILER - length!.k, program.length - TRAILER));
}

/** Rewrites every filter of a set. */
function changeFilters(source: ImageSource, change: (bytes: Uint8Array, place: string) => Uint8Array): Changes {
  if (source.sizeOf(SECCOMP) < 0) return new Map();
  const bytes = readWhole(source, SECCOMP);
  if (readImage(SECCOMP, bytes).records.length === 0) return new Map();
  const entry: SeccompEntry = decodeSingle(SeccompEntrySchema, SECCOMP, bytes);
  if (entry.filters.length === 0) return new Map();
  const known = new Map<string, Uint8Array<ArrayBuffer>>();
  entry.filters.forEach((filter, index) => {
    const key = filter.filter.join();
    const changed = known.get(key) ?? new Uint8Array(change(filter.filter, `${SECCOMP} filter ${index}`));
    known.set(key, changed);
    filter.filter = changed;
  });
  return new Map([[SECCOMP, encodeRecords(SeccompEntrySchema, SECCOMP, [entry])]]);
}

export function seccompToForeign(source: ImageSource): Changes {
  return changeFilters(source, filterToForeign);
}

export function seccompToHome(source: ImageSource): Changes {
  return changeFilters(source, filterToHome);
}
