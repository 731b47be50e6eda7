/** The suites by name. */
import type { KernelName } from '../engine/kernels/contract.ts';
import type { BenchResult, Effort } from './harness.ts';
import { scaling } from './scaling.ts';
import { streams } from './streams.ts';
import { tables } from './tables.ts';
import { training } from './training.ts';

export type Suite = (effort: Effort, kernels?: KernelName) => BenchResult[] | Promise<BenchResult[]>;

export const suites: Readonly<Record<string, Suite>> = Object.freeze({ tables, scaling, streams, training });
