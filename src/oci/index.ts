export { RuncArguments } from "./arguments.ts";
export { recodeToForeign, recodeToHome } from "./recoder.ts";
