/** What a member of a group counts, in Prometheus' text format. */
import { formatMetric } from '../../text/prometheus.ts';
import type { ShareConfig } from '../config/config.ts';

export interface ShareMetricsInput {
  readonly group: ShareConfig;
  readonly connected: boolean;
  readonly members: number;
  /** Devices that the group knows, and those that we serve. */
  readonly known: number;
  readonly served: number;
  readonly takeovers: number;
  readonly fenced: number;
  readonly refused: number;
  readonly repeated: number;
}

export function shareMetrics(input: ShareMetricsInput): string {
  const labels = { group: input.group.group, member: input.group.member };
  const gauge = (name: string, help: string, value: number) =>
    ({ name: `dormouse_share_${name}`, type: 'gauge', help, samples: [[labels, value]] }) as const;
  const counter = (name: string, help: string, value: number) =>
    ({ name: `dormouse_share_${name}_total`, type: 'counter', help, samples: [[labels, value]] }) as const;
  return [
    gauge('connected', '1 while connected to the group.', Number(input.connected)),
    gauge('members', 'Gateways of the group that are there, this one included.', input.members),
    gauge('devices_known', 'Devices that the group knows.', input.known),
    gauge('devices_served', 'Devices that this gateway serves.', input.served),
    counter('takeovers', 'Devices that came from another gateway.', input.takeovers),
    counter('fenced', 'Devices that another gateway took over while they were thought ours.', input.fenced),
    counter('refused', 'Messages of devices that are one too many or have no usable name.', input.refused),
    counter('repeated', 'Results kept back since another gateway had published them.', input.repeated),
  ]
    .map(formatMetric)
    .join('');
}
