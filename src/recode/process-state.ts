// The process area of a translated process (ProcState and the home blob) and the fields of the home kernel's memory map
// that are kept in it.

import { create } from "@bufbuild/protobuf";
import {
  ABI_VERSION,
  MAX_MODULES,
  MODULE_STATUS,
  PROC_AREA_BYTES,
  PROC_HOME_BLOB_BYTES,
  PROC_HOME_BLOB_OFFSET,
  PROC_MAGIC,
  ProcState,
  VARIANTS,
} from "../abi/index.ts";
import { assert, InputError } from "../base/index.ts";
import { decodeMessage, encodeMessage, type Memory, type MmEntry } from "../image/index.ts";
import { type ProcessHome, ProcessHomeSchema } from "./gen/home_pb.ts";
import { AUXV_WORDS, type Layout } from "./layout.ts";
import type { MappedModule } from "./modules.ts";
import type { Process } from "./process.ts";
import { StructView } from "./struct-view.ts";

/** Fields that ProcState and the memory map share: name there, name here. */
const MM_FIELDS = [
  ["start_code", "startCode"],
  ["end_code", "endCode"],
  ["start_data", "startData"],
  ["end_data", "endData"],
  ["start_stack", "startStack"],
  ["arg_start", "argStart"],
  ["arg_end", "argEnd"],
  ["env_start", "envStart"],
  ["env_end", "envEnd"],
  ["brk_start", "startBrk"],
  ["brk_now", "brk"],
] as const;

const AUXV_LIMIT = 64;

/** The bytes of a process area being made. */
export class ProcessArea {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(PROC_AREA_BYTES);
  readonly state: StructView = new StructView(ProcState, this.bytes);

  constructor(mm: MmEntry, threads: number, sharesMemory: boolean, layout: Layout) {
    const { state } = this;
    state.set("magic", PROC_MAGIC);
    state.set("abi_version", ABI_VERSION);
    state.set("threads", threads);
    state.set("translation_next", layout.translations);
    if (threads > 1 || sharesMemory) state.set("variant", VARIANTS.indexOf("ordered"));
    for (const [name, field] of MM_FIELDS) state.set(name, mm[field]);
    mm.savedAuxv.slice(0, AUXV_LIMIT - 2).forEach((word, index) => {
      state.set("auxv", word, index);
    });
  }

  setModules(modules: readonly MappedModule[]): void {
    const listed = modules.slice(0, MAX_MODULES);
    this.state.set("module_count", listed.length);
    listed.forEach((module, index) => {
      const entry = this.state.element("modules", index);
      entry.set("guest_start", module.start);
      entry.set("guest_end", module.end);
      entry.set("guest_bias", module.bias);
      module.key.forEach((word, i) => {
        entry.set("key", word, i);
      });
      entry.set("status", MODULE_STATUS.listed);
    });
  }

  setHome(home: ProcessHome, place: string): void {
    const blob = encodeMessage(ProcessHomeSchema, home);
    if (blob.length > PROC_HOME_BLOB_BYTES) {
      throw new InputError("home-too-large", `what the home form needs back takes ${blob.length} bytes`, place);
    }
    this.bytes.set(blob, PROC_HOME_BLOB_OFFSET);
    this.state.set("home_blob_len", blob.length);
  }
}

/** The process area of a translated process. */
export interface ForeignProcess {
  readonly state: StructView;
  /** Empty for a process that began its program abroad. */
  readonly home: ProcessHome;
}

/** Reads the process area from a dump of a translated process. */
export function readProcessArea(process: Process, layout: Layout): ForeignProcess {
  const { memory, place } = process;
  const state = new StructView(ProcState, memory.read(layout.processArea, ProcState.sizeBytes));
  if (state.get("magic") !== PROC_MAGIC) {
    throw new InputError("not-translated", "holds no translated process", place, "only a translated process goes home");
  }
  const version = state.number("abi_version");
  if (version !== ABI_VERSION) {
    throw new InputError(
      "abi-version",
      `the process runs on ABI version ${version}; this recoder has ${ABI_VERSION}`,
      place,
      "use the version of hcontainer that started the process",
    );
  }
  return { state, home: readHome(memory, layout, state, place) };
}

function readHome(memory: Memory, layout: Layout, state: StructView, place: string): ProcessHome {
  const length = state.number("home_blob_len");
  if (length === 0) return create(ProcessHomeSchema);
  if (length > PROC_HOME_BLOB_BYTES) throw new InputError("image-home-blob", `home blob of ${length} bytes`, place);
  const bytes = memory.read(layout.processArea + BigInt(PROC_HOME_BLOB_OFFSET), length);
  return decodeMessage(ProcessHomeSchema, bytes, `${place} home blob`);
}

/** What the memory map of a home process is, from ProcState, in place. */
export function restoreMemoryMap(mm: MmEntry, state: StructView): void {
  for (const [name, field] of MM_FIELDS) mm[field] = state.get(name);
}

/** Trims an auxiliary vector to `limit` words, ended by AT_NULL, as CRIU on that architecture takes it. */
export function trimAuxv(words: readonly bigint[], limit: number): bigint[] {
  if (words.length <= limit) return [...words];
  return [...words.slice(0, limit - 2), 0n, 0n];
}

/** The auxiliary vector in ProcState, as many words as CRIU at home writes. */
export function homeAuxv(state: StructView): bigint[] {
  assert(AUXV_WORDS.home <= AUXV_LIMIT, "the auxiliary vector fits into ProcState");
  const words: bigint[] = [];
  for (let index = 0; index < AUXV_LIMIT; index += 2) {
    const [type, value] = [state.get("auxv", index), state.get("auxv", index + 1)];
    if (type === 0n) break;
    words.push(type, value);
  }
  while (words.length < AUXV_WORDS.home) words.push(0n);
  return trimAuxv(words, AUXV_WORDS.home);
}
