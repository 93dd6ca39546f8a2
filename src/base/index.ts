export { assert, HostError, InputError, unreachable } from "./errors.ts";
