export {
  decodeRecords,
  decodeSingle,
  encodeRecords,
  type ImageFile,
  type ImageRecord,
  MAX_IMAGE_BYTES,
  readImage,
  writeImage,
} from "./framing.ts";
export * from "./gen/criu_pb.ts";
export { IMAGE_KINDS, type ImageKind, kindOf } from "./kinds.ts";
export { decodeMessage, encodeMessage } from "./message.ts";
export { Memory, PAGE_BYTES } from "./pagemap.ts";
export {
  applyInMemory,
  type Changes,
  type Content,
  type FileRange,
  type ImageSource,
  MemoryImages,
  readWhole,
} from "./source.ts";
