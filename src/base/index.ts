export { assert, HostError, InputError, unreachable } from "./errors.ts";
export { fractionsFrom, randomFrom } from "./random.ts";
