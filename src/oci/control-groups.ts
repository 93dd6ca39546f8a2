// Control groups are the engine's business: it puts a restored container where it wants it. CRIU's image of them names
// hierarchies and paths of the node that dumped, which another node need not have, so it is emptied: the sets that
// processes refer to stay, as sets of nothing. Field numbers are CRIU's (https://criu.org/Images).

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Changes, Content, ImageSource } from "../image/index.ts";
import { readImage, readWhole, writeImage } from "../image/index.ts";

const NAME = "cgroup.img";
/** cgroup_entry.sets, and cg_set_entry.id in it. */
const SETS = 1;
const SET_ID = 1;

function setIds(message: Uint8Array): number[] {
  const ids: number[] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field !== SETS || wire !== WireType.LengthDelimited) {
      reader.skip(wire, field);
      continue;
    }
    const set = new BinaryReader(reader.bytes());
    while (set.pos < set.len) {
      const [inner, innerWire] = set.tag();
      if (inner === SET_ID && innerWire === WireType.Varint) ids.push(set.uint32());
      else set.skip(innerWire, inner);
    }
  }
  return ids;
}

/** The set with its control groups emptied. */
export function emptyControlGroups(source: ImageSource, changes: Changes): Changes {
  if (source.sizeOf(NAME) < 0) return changes;
  const image = readImage(NAME, readWhole(source, NAME));
  const records = image.records.map((record) => {
    const writer = new BinaryWriter();
    for (const id of setIds(record.message))
      writer.tag(SETS, WireType.LengthDelimited).fork().tag(SET_ID, WireType.Varint).uint32(id).join();
    return { ...record, message: writer.finish() };
  });
  return new Map<string, Content | null>([...changes, [NAME, writeImage({ ...image, records })]]);
}
