/**
 * What a model's control chart is told of each row of a case, played through the pipeline of a gateway, calibration and
 * all; and the alarms of any other chart that is told the same.
 */
import { Engine } from '../../src/engine/engine.ts';
import type { Model } from '../../src/engine/model.ts';
import { Alarm, type AnomalyTask } from '../../src/gateway/calibration/alarm.ts';
import { ControlChart } from '../../src/gateway/calibration/control-chart.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { Case } from './cases.ts';

export interface Trace {
  /** [rows x channels] each; rows of the calibration as they are after it. */
  readonly levels: Float64Array;
  readonly surprises: Float64Array;
  /** [rows], 1 where a token was computed. */
  readonly tokens: Uint8Array;
  /** [rows], 1 where the pipeline itself had an alarm. */
  readonly alarms: Int8Array;
}

/** [rows] */
export interface Judged {
  readonly scores: Float64Array;
  readonly alarms: Int8Array;
}

/** Plays a case, dense or gated. `model`: for anomalies, with a chart. */
export function traceCase(model: Model, { series, calibrationRows }: Case, gating: boolean): Trace {
  const channels = model.meaning.channels.length;
  const trace = {
    levels: new Float64Array(series.rows * channels),
    surprises: new Float64Array(series.rows * channels),
    tokens: new Uint8Array(series.rows),
    alarms: new Int8Array(series.rows),
  };
  const pipeline = new Pipeline(new Engine(model), 0, { gating, calibrationTicks: calibrationRows });
  listen(pipeline.output.chart!, channels, trace);
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  for (let row = 0; row < series.rows; row++) {
    frame.timeMs = series.timeMs[row]!;
    frame.values.set(series.values.subarray(row * channels, (row + 1) * channels));
    pipeline.tick(frame);
    trace.alarms[row] = Number(pipeline.output.anomaly);
  }
  return trace;
}

/** Notes what the chart is told. The end of a calibration plays its rows once more: they are noted anew. */
function listen(chart: ControlChart, channels: number, { levels, surprises, tokens }: Trace): void {
  const { observe, update, beginCalibration } = chart;
  let row = 0;
  chart.beginCalibration = (ticks) => {
    row = 0;
    beginCalibration.call(chart, ticks);
  };
  chart.observe = (seen, surprising, intervals) => {
    levels.set(seen, row * channels);
    surprises.set(surprising, row * channels);
    tokens[row++] = 0;
    observe.call(chart, seen, surprising, intervals);
  };
  chart.update = () => {
    tokens[row - 1] = 1;
    update.call(chart);
  };
}

/** What a device with this task's chart would have said after `calibrationRows`. Rows are one interval apart. */
export function judge(task: AnomalyTask, trace: Trace, calibrationRows: number): Judged {
  const rows = trace.tokens.length;
  const channels = trace.levels.length / rows;
  const chart = new ControlChart(channels, task.chart!);
  const alarm = new Alarm(task);
  const judged = { scores: new Float64Array(rows), alarms: new Int8Array(rows) };
  const rowOf = (table: Float64Array, row: number) => table.subarray(row * channels, (row + 1) * channels);
  chart.beginCalibration(calibrationRows);
  for (let row = 0; row < rows; row++) {
    if (row === calibrationRows) chart.calibrate();
    alarm.wait(1);
    chart.observe(rowOf(trace.levels, row), rowOf(trace.surprises, row), 1);
    if (row >= calibrationRows && trace.tokens[row] === 1) judgeToken(chart, alarm);
    judged.scores[row] = Number.isNaN(chart.score[0]!) ? 0 : chart.score[0]!;
    judged.alarms[row] = Number(alarm.stands);
  }
  return judged;
}

function judgeToken(chart: ControlChart, alarm: Alarm): void {
  chart.update();
  alarm.judge(chart.score);
  if (alarm.stands) chart.endSettling();
  if (!alarm.hasRecovered) return;
  chart.acceptLevels();
  chart.update();
}
