// The code key: a 128-bit fingerprint of a file's executable segments, cheap enough for the runtime to compute at
// execve. Not cryptographic: it finds the right translation, and protects nobody from himself; nodes check the sha256
// in the translation's header when they stage it. runtime/code-key.c is its twin; a test holds them against each other.
//
// Over the file bytes of each executable PT_LOAD in program header order (p_offset, p_filesz), padded with zero bytes
// to 16, little-endian u32 words w0..w3 a block go to lanes h0..h3: h = rotl32(h ^ (w * 0xcc9e2d51), 13) * 5 + 0xe6546b64
// (mod 2^32). Before each segment the four words { low32(p_vaddr), high32(p_vaddr), low32(p_filesz), 0 } go in the same
// way. At the end every lane is mixed with the sum of the others: h_i ^= (h0 + h1 + h2 + h3), then the finaliser
// h ^= h >>> 16; h *= 0x85ebca6b; h ^= h >>> 13; h *= 0xc2b2ae35; h ^= h >>> 16. Lanes start at 1, 2, 3, 4.

export interface KeySegment {
  readonly vaddr: bigint;
  readonly bytes: Uint8Array;
}

function mixFinal(lane: number): number {
  let h = lane;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function step(h: number, word: number): number {
  const x = h ^ Math.imul(word, 0xcc9e2d51);
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0;
}

/** The four words of the code key of a file with these executable segments. */
export function codeKey(segments: readonly KeySegment[]): [number, number, number, number] {
  let [h0, h1, h2, h3] = [1, 2, 3, 4];
  for (const { vaddr, bytes } of segments) {
    h0 = step(h0, Number(vaddr & 0xffff_ffffn));
    h1 = step(h1, Number((vaddr >> 32n) & 0xffff_ffffn));
    h2 = step(h2, bytes.length >>> 0);
    h3 = step(h3, 0);
    const whole = bytes.length & ~15;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < whole; at += 16) {
      h0 = step(h0, view.getUint32(at, true));
      h1 = step(h1, view.getUint32(at + 4, true));
      h2 = step(h2, view.getUint32(at + 8, true));
      h3 = step(h3, view.getUint32(at + 12, true));
    }
    if (whole < bytes.length) {
      const last = new DataView(new ArrayBuffer(16));
      for (let at = whole; at < bytes.length; at++) last.setUint8(at - whole, bytes[at]!);
      h0 = step(h0, last.getUint32(0, true));
      h1 = step(h1, last.getUint32(4, true));
      h2 = step(h2, last.getUint32(8, true));
      h3 = step(h3, last.getUint32(12, true));
    }
  }
  const sum = (h0 + h1 + h2 + h3) | 0;
  return [mixFinal(h0 ^ sum), mixFinal(h1 ^ sum), mixFinal(h2 ^ sum), mixFinal(h3 ^ sum)];
}

/** File name stem of the translation with this key: 32 hex digits, first word first. */
export function keyName(key: readonly number[]): string {
  return key.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
