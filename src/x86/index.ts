export { enumerateForms, type Form, type FormOperand, type FormOperandSize, type OperandSource } from "./forms.ts";
export {
  FLOW,
  type Flow,
  type Instruction,
  type MemoryOperand,
  mnemonicNumber,
  type Operand,
  type OperandKind,
  Scanner,
  STACK_USE,
} from "./scanner.ts";
