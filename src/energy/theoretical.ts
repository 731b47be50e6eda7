/**
 * The number that papers print: arithmetic alone, in a 45 nm process. It is no measurement and no estimate of any
 * machine's joules: fetching the operands costs a processor many times what computing with them does.
 */

/** Picojoules per operation in 45 nm at 0.9 V: M. Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9. */
export const int8MultiplyPj = 0.2;
export const int32AddPj = 0.1;

/** Of int8 multiply-accumulates into 32 bits. */
export function theoretical45NmJ(macs: number): number {
  return macs * (int8MultiplyPj + int32AddPj) * 1e-12;
}
