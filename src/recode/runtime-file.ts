// What the recoder must know of the runtime's ELF file: its loadable segments and its header (src/abi/runtime-header.ts).
// The file is the node's own, but it may be of another version, so it is checked.

import { ABI_VERSION, RUNTIME_HEADER_OFFSET, RUNTIME_MAGIC, RuntimeHeader } from "../abi/index.ts";
import { InputError } from "../base/index.ts";
import { StructView } from "./struct-view.ts";

export interface RuntimeSegment {
  readonly start: bigint;
  readonly end: bigint;
  readonly fileOffset: bigint;
  /** Bytes of the segment that come from the file, from `start` on; the rest is zero. */
  readonly fileBytes: bigint;
  readonly prot: number;
  /** First bytes past `fileBytes` in the last file page, which must read as zeros. */
  readonly content: Uint8Array;
}

export interface RuntimeFile {
  readonly sizeBytes: number;
  readonly base: bigint;
  readonly resume: bigint;
  readonly signalHandler: bigint;
  readonly signalRestorer: bigint;
  readonly segments: readonly RuntimeSegment[];
}

const MACHINE_AARCH64 = 183;
const PT_LOAD = 1;
const PAGE = 4096n;

/** Reads the runtime for arm64. */
export function readRuntime(bytes: Uint8Array, place: string): RuntimeFile {
  const refuse = (message: string): never => {
    throw new InputError("runtime-file", message, place, "install the runtime that belongs to this version");
  };
  const headerEnd = RUNTIME_HEADER_OFFSET + RuntimeHeader.sizeBytes;
  if (bytes.length < headerEnd) refuse("too short for a runtime");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0x464c_457f || bytes[4] !== 2) refuse("not an ELF64 file");
  if (view.getUint16(18, true) !== MACHINE_AARCH64) refuse(`for machine ${view.getUint16(18, true)}, not arm64 (183)`);
  const header = new StructView(RuntimeHeader, bytes.subarray(RUNTIME_HEADER_OFFSET, headerEnd));
  if (header.get("magic") !== RUNTIME_MAGIC) refuse("has no runtime header");
  const version = header.number("abi_version");
  if (version !== ABI_VERSION) refuse(`of ABI version ${version}; this recoder has ${ABI_VERSION}`);
  const segments: RuntimeSegment[] = [];
  const table = Number(view.getBigUint64(32, true));
  const count = view.getUint16(56, true);
  for (let index = 0; index < count; index++) {
    const at = table + index * 56;
    if (at + 56 > bytes.length) refuse("its program headers reach beyond its end");
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const flags = view.getUint32(at + 4, true);
    const [offset, vaddr] = [view.getBigUint64(at + 8, true), view.getBigUint64(at + 16, true)];
    const [fileSize, memSize] = [view.getBigUint64(at + 32, true), view.getBigUint64(at + 40, true)];
    if (offset % PAGE !== vaddr % PAGE || offset + fileSize > BigInt(bytes.length)) refuse("has a bad segment");
    const lead = vaddr % PAGE;
    const start = vaddr - lead;
    const fileOffset = offset - lead;
    segments.push({
      start,
      end: (vaddr + memSize + PAGE - 1n) & ~(PAGE - 1n),
      fileOffset,
      fileBytes: fileSize === 0n ? 0n : fileSize + lead,
      prot: ((flags >> 2) & 1) | (flags & 2) | ((flags & 1) << 2),
      content: bytes.subarray(Number(fileOffset), Number(offset + fileSize)),
    });
  }
  return {
    sizeBytes: bytes.length,
    base: header.get("base"),
    resume: header.get("resume"),
    signalHandler: header.get("signal_handler"),
    signalRestorer: header.get("signal_restorer"),
    segments,
  };
}
