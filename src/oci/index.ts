export { RuncArguments } from "./arguments.ts";
export { resolveInside } from "./bundle.ts";
