/** What the doctor finds of the broker: reach, TLS, login, and the rights to subscribe and to publish. */
import { TLSSocket } from 'node:tls';
import { connect, type IClientOptions, type ISubscriptionGrant, type MqttClient } from 'mqtt';
import type { GatewayConfig, MqttConfig } from '../../gateway/config/config.ts';
import { isLoopback } from '../../gateway/http/access.ts';
import { clientOptions, firstVersion } from '../../gateway/mqtt/client-options.ts';
import { topicMatches } from '../../gateway/mqtt/topics.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const soonDays = 30;
const refusedFrom = 128;
/** Refusals of CONNACK that say: speak the older version. */
const protocolRefusals: readonly unknown[] = [1, 132];
const loginRefusals: readonly unknown[] = [4, 5, 134, 135];

export interface BrokerOptions {
  readonly listenMs: number;
  /** Filters on which nothing is expected. */
  readonly commands: readonly string[];
}

/** `filters`: where the gateway's channels come from. Never rejects. */
export async function checkBroker(
  config: GatewayConfig,
  filters: readonly string[],
  { listenMs, commands }: BrokerOptions,
): Promise<Finding[]> {
  const { mqtt } = config;
  let opened: Opened;
  try {
    opened = await open(mqtt);
  } catch (error) {
    return [...checkClearPassword(mqtt), connectFailure(mqtt, error as Error & { code?: unknown })];
  }
  const { client, version } = opened;
  try {
    return [
      ok(
        'broker',
        `${mqtt.url} answers, MQTT ${version === 5 ? '5' : '3.1.1'}, as ${mqtt.username ?? 'nobody in particular'}`,
      ),
      ...checkClearPassword(mqtt),
      ...checkCertificate(client),
      ...(await checkSubscriptions(client, filters, commands, listenMs)),
      await checkPublishing(client, `${config.topicPrefix}/doctor`, listenMs),
    ];
  } finally {
    await client.endAsync(true);
  }
}

interface Opened {
  readonly client: MqttClient;
  readonly version: 4 | 5;
}

/** Under a client id of its own, so that a gateway that runs is not thrown out. */
async function open(mqtt: MqttConfig): Promise<Opened> {
  const version = firstVersion(mqtt.version);
  try {
    return { client: await connectOnce(mqtt, version), version };
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (mqtt.version !== 'auto' || !protocolRefusals.includes(code)) throw error;
    return { client: await connectOnce(mqtt, 4), version: 4 };
  }
}

function connectOnce(mqtt: MqttConfig, version: 4 | 5): Promise<MqttClient> {
  return new Promise((resolve, reject) => {
    // Throws what a password or a certificate that can't be read throws.
    const client = connect(mqtt.url, optionsOf(mqtt, version));
    const fail = (error: Error) => {
      client.end(true);
      reject(error);
    };
    client.once('connect', () => {
      client.off('error', fail);
      client.on('error', () => {});
      resolve(client);
    });
    client.once('error', fail);
    client.once('close', () => fail(new Error('the connection was closed before the broker answered')));
    client.connect();
  });
}

function optionsOf(mqtt: MqttConfig, version: 4 | 5): IClientOptions {
  const own = { ...mqtt, clientId: `${mqtt.clientId}-doctor` };
  return clientOptions({ mqtt: own, keepSession: false, receiveMaximum: 100, packetBytes: 1 << 24 }, version);
}

function connectFailure({ url }: MqttConfig, error: Error & { code?: unknown }): Finding {
  const text = `${url}: ${error.message || String(error.code)}`;
  return failure('broker', text, adviceFor(error));
}

function adviceFor({ code, message }: Error & { code?: unknown }): string {
  if (loginRefusals.includes(code)) return 'check mqtt.username and its password with the broker';
  if (code === 'ECONNREFUSED') return 'start the broker there, or correct host and port in mqtt.url';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'this name is not known here: correct mqtt.url, or DNS';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ETIMEDOUT')
    return 'the network does not lead there: check cable, Wi-Fi and firewall';
  if (/certificate|self.signed|altnames|SSL|TLS/i.test(`${String(code)} ${message}`))
    return 'mqtt.caFile must hold the authority of the broker, and mqtt.url the name in its certificate';
  if (/timeout/i.test(message))
    return 'is it an MQTT port? mqtts:// where the broker wants TLS, mqtt:// where not';
  return 'mqtts:// where the broker wants TLS, mqtt:// where not; its log says more';
}

function checkClearPassword({ url, username }: MqttConfig): Finding[] {
  const { protocol, hostname } = new URL(url);
  const isClear = protocol === 'mqtt:' || protocol === 'ws:';
  const local = isLoopback(hostname.replaceAll(/[[\]]/g, ''));
  if (username === undefined || !isClear || local) return [];
  return [
    warning(
      'tls',
      'the password goes over the network in the clear',
      'mqtts:// with mqtt.caFile, where the broker has TLS',
    ),
  ];
}

function checkCertificate({ stream }: MqttClient): Finding[] {
  if (!(stream instanceof TLSSocket)) return [];
  const validTo = stream.getPeerCertificate().valid_to;
  const days = Math.floor((Date.parse(validTo) - Date.now()) / 86_400_000);
  const text = `${stream.getProtocol()}, the broker's certificate is valid for ${days} days more`;
  if (days >= soonDays) return [ok('tls', text)];
  return [warning('tls', text, 'renew it in time: nothing connects once it has expired')];
}

async function checkSubscriptions(
  client: MqttClient,
  filters: readonly string[],
  commands: readonly string[],
  ms: number,
): Promise<Finding[]> {
  const heard = new Set<string>();
  client.on('message', (topic) => {
    for (const filter of filters) if (topicMatches(filter, topic)) heard.add(filter);
  });
  const refused = await refusedOf(client, [...filters, ...commands]);
  if (refused.length > 0) {
    const advice = 'give this user the right to read them in the ACL of the broker';
    return [failure('subscribe', `the broker refuses ${refused.join(', ')}`, advice)];
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
  const silent = filters.filter((filter) => !heard.has(filter));
  return [
    ok('subscribe', `the broker takes all ${filters.length + commands.length} topic filters`),
    silent.length === 0
      ? ok('topics', `something came on each within ${ms / 1000} s`)
      : warning(
          'topics',
          `nothing came within ${ms / 1000} s on ${silent.join(', ')}`,
          'sensors may be rare; if not, `dormouse sniff` lists the topics that there are',
        ),
  ];
}

function refusedOf(client: MqttClient, filters: readonly string[]): Promise<string[]> {
  return new Promise((resolve) => {
    client.subscribe([...filters], { qos: 1 }, (error, _granted, packet) => {
      const codes =
        (packet as { granted?: readonly (number | ISubscriptionGrant)[] } | undefined)?.granted ?? [];
      const refused = filters.filter((_, at) => Number(codes[at]) >= refusedFrom);
      resolve(refused.length === 0 && error != null ? [`them (${error.message})`] : refused);
    });
  });
}

/** What is published on a topic of our own must come back. */
async function checkPublishing(client: MqttClient, topic: string, ms: number): Promise<Finding> {
  const nonce = `${process.pid}-${Date.now()}`;
  const refused = await refusedOf(client, [topic]);
  const returned = new Promise<boolean>((resolve) => {
    client.on('message', (heard, payload) => {
      if (heard === topic && payload.toString() === nonce) resolve(true);
    });
    setTimeout(() => resolve(false), ms).unref();
  });
  const error = await client.publishAsync(topic, nonce, { qos: 1 }).then(
    () => undefined,
    (reason: Error) => reason,
  );
  const advice = `give this user the right to write ${topic.replace(/doctor$/, '#')} in the ACL of the broker`;
  if (error !== undefined) return failure('publish', `${topic}: ${error.message}`, advice);
  if (refused.length > 0)
    return warning('publish', `${topic} was taken, but we may not read it, so nobody knows`, advice);
  if (await returned) return ok('publish', `${topic} was published, and came back`);
  return failure(
    'publish',
    `${topic} was taken, but did not come back: brokers drop silently what an ACL forbids`,
    advice,
  );
}
