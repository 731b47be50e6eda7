/**
 * How far an earlier exit is from the answer of the last one: what distillation of tier 0 into the lower tiers adds to
 * their losses (Hinton et al. 1503.02531, at temperature 1). The last exit is a constant here: nothing flows back to it.
 */
import { LOG_SCALE_MIN, type TaskKind } from './losses.ts';

type Floats = Float32Array | Float64Array;

/**
 * Weighted sum over rows of the divergence of `student` from `teacher`, at least 0; `scale` times its gradient by the
 * student's logits is written to `gradient`. classify: Kullback-Leibler of the softmaxes; anomaly: of the Laplace
 * distributions, mean over channels; forecast: mean squared difference.
 *
 * teacher, student, gradient: [rows, outputs]; weights: [rows].
 */
export function divergence(
  kind: TaskKind,
  teacher: Floats,
  student: Floats,
  weights: Floats,
  outputs: number,
  gradient: Floats,
  scale: number,
): number {
  const ofRow = { classify: ofSoftmax, anomaly: ofLaplace, forecast: ofValues }[kind];
  let sum = 0;
  for (let row = 0; row < weights.length; row++) {
    const [from, to] = [row * outputs, (row + 1) * outputs];
    const own = gradient.subarray(from, to);
    const apart = ofRow(teacher.subarray(from, to), student.subarray(from, to), own);
    const weight = weights[row]!;
    sum += weight * apart;
    for (let i = 0; i < outputs; i++) own[i]! *= weight * scale;
  }
  return sum;
}

function ofSoftmax(teacher: Floats, student: Floats, gradient: Floats): number {
  const wanted = logSoftmax(teacher);
  const got = logSoftmax(student);
  let sum = 0;
  for (const [c, logWanted] of wanted.entries()) {
    sum += Math.exp(logWanted) * (logWanted - got[c]!);
    gradient[c] = Math.exp(got[c]!) - Math.exp(logWanted);
  }
  return sum;
}

function logSoftmax(logits: Floats): Float64Array {
  const own = Float64Array.from(logits);
  const top = Math.max(...own);
  const logTotal = top + Math.log(own.reduce((total, logit) => total + Math.exp(logit - top), 0));
  return own.map((logit) => logit - logTotal);
}

/** Outputs: all means, then all log-scales s: s - t + (d + e^t e^(-d / e^t)) / e^s - 1 with d = |means' difference|. */
function ofLaplace(teacher: Floats, student: Floats, gradient: Floats): number {
  const channels = teacher.length / 2;
  let sum = 0;
  for (let c = 0; c < channels; c++) {
    const logWanted = Math.max(teacher[channels + c]!, LOG_SCALE_MIN);
    const logGot = Math.max(student[channels + c]!, LOG_SCALE_MIN);
    const difference = student[c]! - teacher[c]!;
    const distance = Math.abs(difference);
    const near = Math.exp(-distance * Math.exp(-logWanted));
    const spread = (distance + Math.exp(logWanted) * near) * Math.exp(-logGot);
    sum += logGot - logWanted + spread - 1;
    gradient[c] = (Math.sign(difference) * (1 - near) * Math.exp(-logGot)) / channels;
    gradient[channels + c] = student[channels + c]! > LOG_SCALE_MIN ? (1 - spread) / channels : 0;
  }
  return sum / channels;
}

function ofValues(teacher: Floats, student: Floats, gradient: Floats): number {
  let sum = 0;
  for (let i = 0; i < teacher.length; i++) {
    const difference = student[i]! - teacher[i]!;
    sum += difference * difference;
    gradient[i] = (2 * difference) / teacher.length;
  }
  return sum / teacher.length;
}
