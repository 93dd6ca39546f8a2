// TCP connections whose peer has not answered yet. CRIU begins such a connection again while it restores, which goes wrong
// where the peer is in the same network namespace: it may not listen yet, and if it answers at once the kernel refuses the
// old windows, which are older than the answer.
//
// A blocking socket has a thread waiting in connect, which begins that call again by itself: so the socket becomes one
// that is bound and nothing more. Of the others the windows are left out, without which CRIU goes on.

import {
  type Changes,
  decodeMessage,
  encodeMessage,
  type FileEntry,
  type ImageSource,
  readImage,
  readWhole,
  TcpStreamEntrySchema,
  writeImage,
} from "../image/index.ts";

const TCP = { synSent: 2, close: 7 } as const;
const O_NONBLOCK = 0o4000;
/** Fields of TcpStreamEntry with the windows: snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup. */
const WINDOW_FIELDS: ReadonlySet<number> = new Set([13, 14, 15, 16, 17]);

/** Makes unanswered connections fit to be restored: their files in place, and their images. */
export function settleUnanswered(source: ImageSource, files: readonly FileEntry[]): Changes {
  const changes = new Map<string, Uint8Array | null>();
  for (const { isk } of files) {
    if (isk?.state !== TCP.synSent) continue;
    const name = `tcp-stream-${isk.ino.toString(16)}.img`;
    if (source.sizeOf(name) < 0) continue;
    if (isk.flags & O_NONBLOCK) {
      changes.set(name, withoutWindows(source, name));
    } else {
      isk.state = TCP.close;
      isk.dstPort = 0;
      changes.set(name, null);
    }
  }
  return changes;
}

function withoutWindows(source: ImageSource, name: string): Uint8Array {
  const { kind, records } = readImage(name, readWhole(source, name));
  const changed = records.map(({ message, extra }) => {
    const entry = decodeMessage(TcpStreamEntrySchema, message, name);
    entry.$unknown = (entry.$unknown ?? []).filter((field) => !WINDOW_FIELDS.has(field.no));
    return { message: encodeMessage(TcpStreamEntrySchema, entry), extra };
  });
  return writeImage({ kind, records: changed });
}
