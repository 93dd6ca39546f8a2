// Vector extensions that we know and do not translate yet, or never will, each with its reason.

import { refused } from "./rows.ts";
import type { Row } from "./vocabulary.ts";

const HALF = "arithmetic on half-precision numbers (AVX512-FP16) is not translated";
const AMX = "tile registers (AMX) are not part of the state that moves";
const XEON_PHI = "the extension was made for one family of CPUs that is no more";
const FOUR_OPERANDS = "AMD's FMA4 is not translated";
const NEW = "the extension is newer than the translator's instruction tests";

const names = (text: string): string[] => text.trim().split(/\s+/);

/** Packed and scalar half-precision forms of a stem. */
const half = (stem: string): string[] => [`${stem}ph`, `${stem}sh`];

const HALF_NAMES = [
  ...names(
    "Vadd Vsub Vmul Vdiv Vmin Vmax Vsqrt Vrcp Vrsqrt Vcmp Vgetexp Vgetmant Vrndscale Vreduce Vscalef Vfpclass",
  ).flatMap(half),
  ...names("Vfmadd Vfmsub Vfnmadd Vfnmsub").flatMap((stem) =>
    ["132", "213", "231"].flatMap((order) => half(stem + order)),
  ),
  ...names("Vfmaddsub Vfmsubadd").flatMap((stem) => ["132", "213", "231"].map((order) => `${stem}${order}ph`)),
  ...names("Vfmaddc Vfcmaddc Vfmulc Vfcmulc").flatMap(half),
  ...names("Vcomish Vucomish Vmovsh Vmovw"),
  ...names("Vcvtdq2ph Vcvtudq2ph Vcvtqq2ph Vcvtuqq2ph Vcvtw2ph Vcvtuw2ph Vcvtpd2ph Vcvtps2phx Vcvtph2pd Vcvtph2psx"),
  ...["", "t"].flatMap((t) => names("dq udq qq uqq w uw").map((to) => `Vcvt${t}ph2${to}`)),
  ...["", "t"].flatMap((t) => [`Vcvt${t}sh2si`, `Vcvt${t}sh2usi`]),
  ...names("Vcvtsh2ss Vcvtsh2sd Vcvtss2sh Vcvtsd2sh Vcvtsi2sh Vcvtusi2sh"),
];

const FMA4_NAMES = [
  ...names("Vfmadd Vfmsub Vfnmadd Vfnmsub").flatMap((stem) => names("ps pd ss sd").map((type) => stem + type)),
  ...names("Vfmaddsub Vfmsubadd").flatMap((stem) => names("ps pd").map((type) => stem + type)),
  ...names("Vpermil2ps Vpermil2pd"),
];

const XEON_PHI_NAMES = [
  ...names("Vexp2 Vrcp28 Vrsqrt28").flatMap((stem) => [`${stem}ps`, `${stem}pd`]),
  ...names("Vrcp28 Vrsqrt28").flatMap((stem) => [`${stem}ss`, `${stem}sd`]),
  ...names("V4fmaddps V4fmaddss V4fnmaddps V4fnmaddss Vp4dpwssd Vp4dpwssds"),
];

const AMX_NAMES = names(
  "Ldtilecfg Sttilecfg Tilerelease Tilezero Tileloadd Tileloaddt1 Tilestored Tdpbf16ps Tdpfp16ps Tdpbuud Tdpbusd Tdpbsud Tdpbssd",
);

const NEW_NAMES = names(`Vsha512rnds2 Vsha512msg1 Vsha512msg2 Vsm3msg1 Vsm3msg2 Vsm3rnds2 Vsm4key4 Vsm4rnds4
  Vpdpwuud Vpdpwuuds Vpdpwusd Vpdpwusds Vpdpwsud Vpdpwsuds
  Vcvtneebf162ps Vcvtneobf162ps Vcvtneeph2ps Vcvtneoph2ps Vbcstnebf162ps Vbcstnesh2ps`);

export const SIMD_REFUSED: readonly Row[] = [
  ...HALF_NAMES.map((name) => refused(name, HALF)),
  ...FMA4_NAMES.map((name) => refused(name, FOUR_OPERANDS)),
  ...XEON_PHI_NAMES.map((name) => refused(name, XEON_PHI)),
  ...AMX_NAMES.map((name) => refused(name, AMX)),
  ...NEW_NAMES.map((name) => refused(name, NEW)),
  ...names("Extrq Insertq").map((name) => refused(name, "AMD's SSE4A bit fields are not translated")),
  refused("Vdpbf16ps", "dot products of bfloat16 numbers are not translated"),
];
