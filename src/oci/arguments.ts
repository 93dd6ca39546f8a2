// runc's command line, as far as we need to know it: which options take a value, so that the verb, its options and the
// container's name are found, and so that one value can be replaced while everything else is passed on as it came.
// Options are written `--name value`, `--name=value` or with a single dash (runc 1.1 to 1.3, `man 8 runc`).

const GLOBAL_VALUES = new Set(["log", "log-format", "root", "rootless", "criu"]);
const VERB_VALUES: Readonly<Record<string, ReadonlySet<string>>> = {
  create: new Set(["bundle", "b", "console-socket", "pidfd-socket", "pid-file", "preserve-fds"]),
  run: new Set(["bundle", "b", "console-socket", "pidfd-socket", "pid-file", "preserve-fds"]),
  exec: new Set([
    ...["console-socket", "pidfd-socket", "cwd", "env", "e", "user", "u", "additional-gids", "g", "process", "p"],
    ...["pid-file", "process-label", "apparmor", "cap", "c", "preserve-fds", "cgroup"],
  ]),
  checkpoint: new Set([
    ...["image-path", "work-path", "parent-path", "status-fd", "page-server", "manage-cgroups-mode", "empty-ns"],
  ]),
  restore: new Set([
    ...["image-path", "work-path", "manage-cgroups-mode", "bundle", "b", "pid-file", "empty-ns", "console-socket"],
    ...["parent-path", "lsm-profile", "lsm-mount-context"],
  ]),
};

interface Option {
  readonly name: string;
  /** Undefined for a switch. */
  readonly value: string | undefined;
  /** Index of the word that holds the value. */
  readonly valueAt: number;
}

/** A parsed command line of runc. */
export class RuncArguments {
  readonly words: readonly string[];
  readonly verb: string;
  readonly operands: readonly string[];
  readonly #global: readonly Option[];
  readonly #own: readonly Option[];
  readonly #verbAt: number;

  constructor(words: readonly string[]) {
    this.words = words;
    const [global, verbAt] = scan(words, 0, GLOBAL_VALUES);
    this.#global = global;
    this.#verbAt = verbAt;
    this.verb = words[verbAt] ?? "";
    const [own, operandsAt] = scan(words, verbAt + 1, VERB_VALUES[this.verb] ?? new Set());
    this.#own = own;
    this.operands = words.slice(operandsAt);
  }

  /** Value of a global option. */
  global(name: string): string | undefined {
    return this.#global.findLast((option) => option.name === name)?.value;
  }

  /** Value of an option of the verb. */
  option(...names: readonly string[]): string | undefined {
    return this.#own.findLast((option) => names.includes(option.name))?.value;
  }

  /** True when a switch of the verb is on. */
  has(name: string): boolean {
    const found = this.#own.findLast((option) => option.name === name);
    return found !== undefined && found.value !== "false";
  }

  /** The command line with global options as they are, another verb and other words behind it. */
  withVerb(verb: string, ...rest: readonly string[]): string[] {
    return [...this.words.slice(0, this.#verbAt), verb, ...rest];
  }

  /** The command line with the value of one option of the verb replaced, or the option added in front. */
  withOption(name: string, value: string): string[] {
    const words = [...this.words];
    const found = this.#own.findLast((option) => option.name === name);
    if (found === undefined) words.splice(this.#verbAt + 1, 0, `--${name}`, value);
    else {
      const old = words[found.valueAt]!;
      const equals = old.startsWith("-") && old.includes("=") ? old.indexOf("=") : -1;
      words[found.valueAt] = equals < 0 ? value : `${old.slice(0, equals + 1)}${value}`;
    }
    return words;
  }

  /** The command line with a switch of the verb on. */
  withSwitch(name: string): string[] {
    if (this.has(name)) return [...this.words];
    const words = [...this.words];
    words.splice(this.#verbAt + 1, 0, `--${name}`);
    return words;
  }
}

/** Reads options from `start` on; answers them and the index of the first word that is none. */
function scan(words: readonly string[], start: number, withValue: ReadonlySet<string>): [Option[], number] {
  const options: Option[] = [];
  let at = start;
  for (; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") return [options, at + 1];
    if (!word.startsWith("-") || word === "-") break;
    const text = word.replace(/^--?/, "");
    const equals = text.indexOf("=");
    if (equals >= 0) options.push({ name: text.slice(0, equals), value: text.slice(equals + 1), valueAt: at });
    else if (withValue.has(text) && at + 1 < words.length) {
      options.push({ name: text, value: words[at + 1], valueAt: at + 1 });
      at++;
    } else options.push({ name: text, value: undefined, valueAt: -1 });
  }
  return [options, at];
}
