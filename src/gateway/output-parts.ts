/** The parts that a config asks for beside results: schema, discovery, Sparkplug, and what devices say of themselves. */
import type { Channel } from '../engine/model.ts';
import type { GatewayConfig } from './config/config.ts';
import type { LoadedConfig } from './config/load-config.ts';
import type { Decoder } from './decode.ts';
import { HomeAssistant } from './home-assistant.ts';
import type { Log } from './log.ts';
import { schemaPart } from './output-schema.ts';
import type { GatewayPart } from './part.ts';
import { ShellyStatus } from './shelly-status.ts';
import { SparkplugHost } from './sparkplug/host.ts';
import { SparkplugNode } from './sparkplug/node.ts';
import { ZigbeeDefinitions } from './zigbee-definitions.ts';

/** `decoder`: that of the gateway, which does not exist yet when its parts are made. */
export function makeOutputParts(
  { config, model }: LoadedConfig,
  decoder: () => Decoder,
  log: Log,
): GatewayPart[] {
  const { meaning } = model;
  const parts = [schemaPart(config, meaning), ...makeInputParts(config, meaning.channels, decoder, log)];
  if (config.homeAssistant !== undefined)
    parts.push(new HomeAssistant(config.homeAssistant, config, meaning));
  if (config.sparkplug !== undefined) parts.push(new SparkplugNode(config.sparkplug, config, meaning, log));
  return parts;
}

/** Those that learn what devices say of themselves, or ask them. */
export function makeInputParts(
  config: GatewayConfig,
  channels: readonly Channel[],
  decoder: () => Decoder,
  log: Log,
): GatewayPart[] {
  const parts: GatewayPart[] = [];
  const definitions = new ZigbeeDefinitions(config.routes, channels, decoder, log);
  if (definitions.filters.length > 0) parts.push(definitions);
  if (config.routes.some(({ channels: [first] }) => first?.rule.kind === 'sparkplug'))
    parts.push(new SparkplugHost(config.routes, decoder));
  const shellyStatus = new ShellyStatus(config);
  if (shellyStatus.filters.length > 0) parts.push(shellyStatus);
  return parts;
}
