/** What a state is of: it means nothing to anything else. */
import { createHash } from 'node:crypto';
import { policyHash } from '../../gate/policy.ts';
import { version } from '../../version.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Served } from '../served.ts';

/** Of the model, the policy, what makes ticks and spikes, and the program. */
export function stateIdentity({ loaded, engine, pipeline }: Served, config: GatewayConfig): string {
  const parts = [
    version,
    loaded.modelSha256,
    engine.model.meaning.channels.map(({ name }) => name),
    policyHash(pipeline.policy),
    config.spikes,
    config.calibrationTicks ?? null,
    [config.frame.mode, config.frame.intervalMs, config.frame.timestamp ?? null],
    config.routes.map(({ filter }) => filter),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
