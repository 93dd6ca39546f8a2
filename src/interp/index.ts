export { type GeneratedInterpreter, generateInterpreter, type Omission } from "./generate.ts";
