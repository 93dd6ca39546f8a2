// How control leaves a piece: the code that writes back what the piece keeps out of CpuState and jumps on. This is the
// convention of translated code (ARCHITECTURE.md) as LLVM IR: everything is a musttail call with the guest's registers
// in arguments.

import { CpuState, EXIT, LOOKUP_BITS, LOOKUP_SHIFT, LookupEntry, offsetOf } from "../abi/index.ts";
import { type IrFunction, type IrValue, TBAA } from "../llvm/index.ts";
import { PARAMETER_TYPES } from "./variables.ts";

/** Text of a type and operand of every argument that is a register of the guest. */
export type ArgumentTexts = readonly string[];

const CC = "preserve_nonecc";

/** Emits the transfers of one function. */
export class Transfers {
  readonly #fn: IrFunction;

  constructor(fn: IrFunction) {
    this.#fn = fn;
  }

  pointer(offset: number): string {
    return this.#fn.emit(`getelementptr i8, ptr %state, i64 ${offset}`);
  }

  storeField(name: string, type: string, text: string): void {
    const pointer = this.pointer(offsetOf(CpuState, name));
    this.#fn.effect(`store ${type} ${text}, ptr ${pointer}, !tbaa ${TBAA.cpu}`);
  }

  /**
   * Jumps to `callee` (a symbol or a value) with the arguments; `pc` is its pc where it may ask for it, `lookup` points anywhere
   * into the lookup cache. Ends the block.
   */
  jump(callee: string, args: ArgumentTexts, pc = "poison", lookup = "%lookup"): void {
    this.#fn.effect(`musttail call ${CC} void ${callee}(ptr %state, ${args.join(", ")}, ptr ${lookup}, i64 ${pc})`);
    this.#fn.end("ret void");
  }

  /** Jumps to another piece, declaring it unless this module defines it. */
  toPiece(symbol: string, isDefinedHere: boolean, args: ArgumentTexts): void {
    if (!isDefinedHere) this.#fn.module.declare(`declare hidden ${CC} void @${symbol}(${PARAMETER_TYPES})`);
    this.jump(`@${symbol}`, args);
  }

  /** Leaves for the dispatcher. */
  leave(reason: keyof typeof EXIT, pc: IrValue, args: ArgumentTexts): void {
    this.storeField("rip", "i64", this.#fn.text(pc, "i64"));
    this.storeField("exit_reason", "i32", `${EXIT[reason]}`);
    this.#through("exit_fn", args);
  }

  /** Leaves after a fault: the runtime has noted at which pc and why when it looked up where the fault leads. */
  leaveFault(args: ArgumentTexts): void {
    this.#through("exit_fn", args);
  }

  #through(field: string, args: ArgumentTexts, lookup?: string): void {
    const pointer = this.pointer(offsetOf(CpuState, field));
    this.jump(this.#fn.emit(`load ptr, ptr ${pointer}, !tbaa ${TBAA.cpu}`), args, "poison", lookup);
  }

  /** Goes on at a pc without a known translation. */
  dispatch(pc: IrValue, args: ArgumentTexts, lookup?: string): void {
    this.storeField("rip", "i64", this.#fn.text(pc, "i64"));
    this.#through("dispatch_fn", args, lookup);
  }

  /** Goes on at a pc known at run time only: probes the lookup cache first. */
  indirect(target: IrValue, args: ArgumentTexts): void {
    const fn = this.#fn;
    const pc = fn.text(target, "i64");
    const mixed = fn.emit(`xor i64 ${pc}, ${fn.emit(`lshr i64 ${pc}, ${LOOKUP_SHIFT}`)}`);
    // The cache is aligned to its size, so the slot's bits are all that tells its entries' addresses apart, and whichever entry
    // the register pointed to before will do.
    const bits = `#${Math.log2(LookupEntry.sizeBytes)}, #${LOOKUP_BITS}`;
    const entry = fn.emit(`call ptr asm "bfi $0, $1, ${bits}", "=r,r,0"(i64 ${mixed}, ptr %lookup) memory(none)`);
    // Nothing in this function changes the cache, so the asm needs no memory clobber.
    const pair = fn.emit(`call { i64, ptr } asm "ldp $0, $1, [$2]", "=r,=r,r"(ptr ${entry})`);
    const guest = fn.emit(`extractvalue { i64, ptr } ${pair}, 0`);
    const host = fn.emit(`extractvalue { i64, ptr } ${pair}, 1`);
    const isMiss = fn.value(1, "i1", `icmp ne i64 ${guest}, ${pc}`);
    const [miss, hit] = [fn.newLabel("miss"), fn.newLabel("hit")];
    fn.branch(isMiss, miss, hit, true);
    fn.begin(hit);
    this.jump(host, args, pc, entry);
    fn.begin(miss);
    this.dispatch(target, args, entry);
  }
}
