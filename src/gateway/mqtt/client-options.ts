/** What mqtt.js is told of a connection: session, last will, credentials, certificates. */
import { readFileSync } from 'node:fs';
import type { IClientOptions } from 'mqtt';
import type { MqttConfig, MqttVersion } from '../config/config.ts';
import type { ConnectionOptions } from './mqtt.ts';

/** What of a connection's options the client is made of. */
type ClientSettings = Pick<
  ConnectionOptions,
  'mqtt' | 'keepSession' | 'receiveMaximum' | 'packetBytes' | 'will' | 'statusTopic'
>;

/** For one network connection; passwords and files are read now. Throws when they can't be. */
export function clientOptions(options: ClientSettings, version: 4 | 5): IClientOptions {
  const { mqtt, keepSession = true, receiveMaximum, packetBytes } = options;
  return {
    manualConnect: true,
    clientId: mqtt.clientId,
    clean: !keepSession,
    protocolVersion: version,
    keepalive: mqtt.keepaliveS,
    connectTimeout: mqtt.connectTimeoutMs,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    ...credentials(mqtt),
    ...tlsOptions(mqtt),
    ...lastWill(options),
    ...(version === 5
      ? {
          properties: {
            sessionExpiryInterval: keepSession ? mqtt.sessionExpiryS : 0,
            receiveMaximum: Math.min(receiveMaximum, 65_535),
            maximumPacketSize: packetBytes,
          },
        }
      : {}),
  };
}

function lastWill({ will, statusTopic }: ClientSettings): IClientOptions {
  if (will !== undefined) {
    const { payload, ...message } = will();
    return { will: { ...message, payload: Buffer.from(payload as Uint8Array) } };
  }
  if (statusTopic === undefined) return {};
  return { will: { topic: statusTopic, payload: Buffer.from('offline'), qos: 1, retain: true } };
}

export function firstVersion(version: MqttVersion): 4 | 5 {
  return version === '3.1.1' ? 4 : 5;
}

/** Read for each connection: a password may be changed while we run. */
function credentials(mqtt: MqttConfig): IClientOptions {
  const { username, passwordFile, passwordEnv } = mqtt;
  if (username === undefined) return {};
  if (passwordFile !== undefined) return { username, password: readFileSync(passwordFile, 'utf8').trimEnd() };
  if (passwordEnv === undefined) return { username };
  const password = process.env[passwordEnv];
  if (password === undefined) throw new Error(`the environment variable ${passwordEnv} is not set`);
  return { username, password };
}

function tlsOptions({ tls }: MqttConfig): IClientOptions {
  return {
    ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
  };
}
