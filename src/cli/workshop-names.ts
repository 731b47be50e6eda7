/** Commands that make and judge models, apart from the modules behind them: the build for devices knows their names. */
export const workshopNames = [
  'demo',
  'train',
  'encode',
  'quantize',
  'eval',
  'calibrate gate',
  'calibrate attention',
  'lambda',
  'tune',
  'bench',
  'generate',
  'export',
  'keygen',
  'sign',
  'deploy',
] as const;
