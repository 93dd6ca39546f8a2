export { RuncArguments } from "./arguments.ts";
