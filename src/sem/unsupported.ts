// Thrown by a semantic for a form of an instruction that it does not know. Who binds the semantic leaves that form out and
// reports the reason: it is never a guess at the meaning.

export class Unsupported extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "Unsupported";
  }
}
