/** The options of commands that look at a recording's training rows as training would. */
import { defaultSettings, type TrainingSettings } from '../train/settings.ts';
import { featuresOption, numberOption, wholeNumberOption } from './options.ts';

const { dataset: defaults } = defaultSettings;
const text = { type: 'string' } as const;

export const datasetOptions = {
  without: text,
  'validation-share': text,
  delta: text,
  heartbeat: text,
  features: text,
  force: { type: 'boolean' },
} as const;

export type DatasetValues = {
  readonly [name in keyof typeof datasetOptions]?:
    | ((typeof datasetOptions)[name]['type'] extends 'boolean' ? boolean : string)
    | undefined;
};

/** Throws UsageError. */
export function datasetSettings(values: DatasetValues): TrainingSettings['dataset'] {
  const { validationShare, deltaShare, heartbeatIntervals } = defaults;
  return {
    ...defaults,
    features: featuresOption(values.features),
    allowClocks: values.force ?? false,
    validationShare: numberOption('validation-share', values['validation-share'], validationShare, 0, 0.9),
    deltaShare: numberOption('delta', values.delta, deltaShare, 0, 100),
    heartbeatIntervals: wholeNumberOption('heartbeat', values.heartbeat, heartbeatIntervals, 1, 1e9),
  };
}

/** Lines of a command's usage. `when`: a condition that stands before thresholds and features. */
export function datasetUsage(when = ''): string {
  const { validationShare, deltaShare, heartbeatIntervals } = defaults;
  return `  --without NAMES       leave these channels out (names with commas between)
  --validation-share X  share of the training rows set aside if the recording names none
                        (default ${validationShare})
  --delta X             ${when}a channel fires when it moved X interquartile ranges (default ${deltaShare})
  --heartbeat N         ... or was silent for N intervals (default ${heartbeatIntervals})
  --features NAME       ${when}changes, or trends: also how each channel moved over minutes to hours
                        (default changes)
  --force               take even a channel that only counts rows`;
}
