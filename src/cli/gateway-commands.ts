/** What a gateway needs on its device. */
import type { CommandTable } from './dispatch.ts';

export const gatewayCommands: CommandTable = {
  run: () => import('./run.ts'),
  validate: () => import('./validate.ts'),
  doctor: () => import('./doctor.ts'),
  sniff: () => import('./sniff.ts'),
  record: () => import('./record.ts'),
  inspect: () => import('./inspect.ts'),
  explain: () => import('./explain.ts'),
  energy: () => import('./energy.ts'),
  'calibrate energy': () => import('./calibrate-energy.ts'),
  replay: () => import('./replay.ts'),
};
