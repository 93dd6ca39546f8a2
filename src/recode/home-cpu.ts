// What a home set tells of the processor that it was made on (CRIU's cpuinfo.img), as HomeCpu: so that cpuid and xsave go on
// answering as they did at home. CRIU keeps the words of Linux's list of capabilities, most of which are registers of a cpuid leaf.

import { HomeCpu } from "../abi/index.ts";
import {
  CpuinfoEntrySchema,
  type CpuinfoX86Entry,
  decodeRecords,
  type ImageSource,
  readWhole,
} from "../image/index.ts";
import { StructView } from "./struct-view.ts";

export const CPU_IMAGE = "cpuinfo.img";

/** Places of the leaves' registers in the list of capabilities. */
const CAPABILITY_WORDS = {
  leaf1_edx: 0,
  extended_edx: 1,
  leaf1_ecx: 4,
  extended_ecx: 6,
  leaf7_ebx: 9,
  leafd1_eax: 10,
  leaf7_ecx: 16,
  leaf7_edx: 18,
} as const;
const WORD_COUNT = 19;

/** HomeCpu.vendor by CRIU's number: unknown, Intel, AMD. */
const VENDORS: readonly number[] = [3, 1, 2];
/** x87 and SSE, which CRIU's mask may leave out, and the components of AVX-512. */
const ALWAYS = 3n;
const AVX512 = 0xe0n;
/** From this size on, an area with AVX-512 has the place for MPX. */
const GAP_BYTES = 2688;

/** cpuid leaf 1, eax (SDM Vol. 2, CPUID, figure 3-6). */
function signatureOf(entry: CpuinfoX86Entry): number {
  const family = Math.min(entry.cpuFamily, 15);
  const extended = (entry.cpuFamily - family) & 0xff;
  const model = ((entry.model & 15) << 4) | (((entry.model >>> 4) & 15) << 16);
  return (extended << 20) | (family << 8) | model | (entry.stepping & 15);
}

/** The bytes of HomeCpu; null when the set does not tell of an x86 processor. */
export function readHomeCpu(source: ImageSource): Uint8Array | null {
  if (source.sizeOf(CPU_IMAGE) < 0) return null;
  const [entry] = decodeRecords(CpuinfoEntrySchema, CPU_IMAGE, readWhole(source, CPU_IMAGE)).flatMap(
    (record) => record.x86Entry,
  );
  // Older forms of the list are shorter; their words have other meanings.
  if (entry === undefined || entry.capability.length < WORD_COUNT) return null;
  const view = new StructView(HomeCpu, new Uint8Array(HomeCpu.sizeBytes));
  view.set("vendor", VENDORS[entry.vendorId] ?? VENDORS[0]!);
  view.set("signature", signatureOf(entry));
  view.set("components", entry.xfeaturesMask | ALWAYS);
  const hasAvx512 = (entry.xfeaturesMask & AVX512) === AVX512;
  view.set("has_gap", hasAvx512 && entry.xsaveSize >= GAP_BYTES ? 1 : 0);
  for (const [name, word] of Object.entries(CAPABILITY_WORDS)) view.set(name, entry.capability[word]!);
  view.slice("name").set(entry.modelId.subarray(0, 47));
  return view.bytes;
}
