/** The gateway's settings, as its YAML file gives them; docs/gateway.md explains each. */
import type { MeterSettings } from '../../energy/meter-settings.ts';
import type { SpikeSettings } from '../../engine/model.ts';
import type { JsonPath } from '../json-path.ts';
import type { Thresholds } from '../models/comparison.ts';
import type { SelfTestConfig } from '../models/self-test.ts';
import type { Route } from '../payloads/rule.ts';

export type MqttVersion = 'auto' | '3.1.1' | '5';
export type QoS = 0 | 1;

export interface TlsConfig {
  /** Absolute paths of PEM files. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface MqttConfig {
  readonly url: string;
  readonly clientId: string;
  readonly username?: string;
  /** At most one of the two; the password itself is read when connecting and never kept in the config. */
  readonly passwordFile?: string;
  readonly passwordEnv?: string;
  readonly tls: TlsConfig;
  readonly version: MqttVersion;
  /** Of the subscriptions. */
  readonly qos: QoS;
  readonly keepaliveS: number;
  readonly sessionExpiryS: number;
  readonly connectTimeoutMs: number;
  /** The first reconnect waits up to this, each further one up to twice as long. */
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

export interface FrameConfig {
  /** message: each accepted message is a tick. grid: a tick each interval. */
  readonly mode: 'message' | 'grid';
  readonly intervalMs: number;
  /** Where a payload tells its time; without it the time of receipt counts. */
  readonly timestamp?: JsonPath;
  /** Unit of a timestamp that is a number. */
  readonly timestampUnit: 'ms' | 's';
  /** A payload that claims to be so far ahead of our clock is believed only when others confirm it. */
  readonly aheadMs: number;
}

export interface OutputConfig {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** all: each tick. tokens: ticks that ran the engine. changes: when class, anomaly flag or trust changed. */
  readonly publish: 'all' | 'changes' | 'tokens';
}

/** What happens when messages come faster than they are worked on. */
export type RingPolicy = 'dropOldest' | 'coalesce' | 'refuse';

export interface LimitsConfig {
  readonly ringMessages: number;
  readonly ringBytes: number;
  readonly ringPolicy: RingPolicy;
  readonly payloadBytes: number;
  readonly packetBytes: number;
  readonly jsonDepth: number;
  readonly outboxMessages: number;
  readonly inFlight: number;
  readonly catchUpTicks: number;
}

/** What waits is kept on disk. */
export interface StorageConfig {
  readonly directory: string;
  /** A message that was not worked on for so long is written to the journal, and acknowledged. */
  readonly commitMs: number;
  /** Of the journal of messages that came. */
  readonly intakeBytes: number;
  /** Of the results that wait for the broker, and how old they may get. */
  readonly outboxBytes: number;
  readonly outboxMs: number;
  /** Results that wait are written at the latest after so long. */
  readonly outboxFlushMs: number;
  /** Results from the disk are sent at this rate at most, beside the new ones. */
  readonly resendPerS: number;
}

export interface WitnessLogConfig {
  readonly directory: string;
  readonly fileBytes: number;
  readonly files: number;
  readonly flushMs: number;
  /** Most bytes of witnesses in a day; 0: no bound. */
  readonly bytesPerDay: number;
}

/** Which meter counts the joules, and how often what it says is written. */
export interface LedgerConfig extends MeterSettings {
  readonly directory: string;
  readonly target: string;
  readonly intervalMs: number;
  /** Records are written at the latest after so long. */
  readonly flushMs: number;
}

/** Home Assistant finds the gateway by a discovery message. */
export interface HomeAssistantConfig {
  /** Where Home Assistant looks for discoveries. */
  readonly discoveryPrefix: string;
  /** What the device is called there. */
  readonly name: string;
}

/** The gateway's results as those of a Sparkplug B edge node. */
export interface SparkplugConfig {
  readonly group: string;
  readonly edge: string;
}

/** The HTTP server: page, metrics, health. */
export interface PageConfig {
  /** 0: any that is free. */
  readonly port: number;
  readonly host: string;
  /** The token itself is read when the server starts and never kept in the config. */
  readonly tokenFile?: string;
  /** Names by which browsers may ask, beside this machine's own and addresses. */
  readonly names: readonly string[];
  /** Ticks that the page can look back at. */
  readonly historyTicks: number;
  /** Healthy is who has had a tick within so long; 0: ticks are not asked for, except those that the clock makes due. */
  readonly tickWithinMs: number;
}

/** Commands over MQTT. */
export interface CommandsConfig {
  readonly perMinute: number;
}

/** How long a model is watched: until all of these have passed. */
export interface TrialConfig {
  readonly ticks: number;
  /** Ticks that it has computed. */
  readonly tokens: number;
  /** Classes that the model which it is compared with has said, each at some ticks. */
  readonly answers: number;
  readonly durationMs: number;
}

/** Models are exchanged while the gateway runs. */
export interface ModelsConfig {
  /** Where the models that work, worked and are on trial are kept. */
  readonly directory: string;
  readonly publicKeyFile?: string;
  readonly requireSignature: boolean;
  /** Of a model file. */
  readonly bytesMax: number;
  /** The model's file is looked at so often; 0: at the start alone. */
  readonly pollMs: number;
  /** Models come over MQTT too. */
  readonly upload?: { readonly idleMs: number };
  readonly selfTest?: SelfTestConfig;
  /** Beside the model at work, before it takes over; and with that model beside it, after. */
  readonly canary: TrialConfig;
  readonly watch: TrialConfig;
  readonly thresholds: Thresholds;
}

/** What the gateway remembers is kept beyond its process. */
export interface StateConfig {
  readonly directory: string;
  readonly snapshotMs: number;
}

/** Several gateways share the devices of one config. */
export interface ShareConfig {
  readonly group: string;
  /** Names this gateway among them. */
  readonly member: string;
  readonly heartbeatMs: number;
  /** A member that was not heard for so long is gone. */
  readonly leaseMs: number;
  /** Devices that the group takes on. */
  readonly maxDevices: number;
}

/** Everything, checked; paths are absolute. */
export interface GatewayConfig {
  /** Names this gateway in topics and in its client id. */
  readonly gateway: string;
  readonly modelPath: string;
  /** The device that it runs on: what its engine may take, and whose watts the ledger counts. */
  readonly target?: string;
  readonly mqtt: MqttConfig;
  readonly routes: readonly Route[];
  readonly frame: FrameConfig;
  /** The model's settings with the file's overrides. */
  readonly spikes: SpikeSettings;
  /** Absent: the pipeline's default. */
  readonly policy?: string;
  readonly topicPrefix: string;
  readonly output: OutputConfig;
  /** Ticks by which the device calibrates itself. Absent: as the model says, if it does at all. */
  readonly calibrationTicks?: number;
  /** 0: no counters are published. */
  readonly countersIntervalS: number;
  readonly limits: LimitsConfig;
  /** Absent: nothing is kept on disk. */
  readonly storage?: StorageConfig;
  readonly witnessLog?: WitnessLogConfig;
  readonly ledger?: LedgerConfig;
  readonly homeAssistant?: HomeAssistantConfig;
  readonly sparkplug?: SparkplugConfig;
  readonly page?: PageConfig;
  readonly commands?: CommandsConfig;
  readonly state?: StateConfig;
  readonly models?: ModelsConfig;
  /** Present: this is the config of one of the devices that a group of gateways shares, or of any of them. */
  readonly share?: ShareConfig;
}

/** Topics that the gateway publishes to. */
export function ownTopics(config: Pick<GatewayConfig, 'topicPrefix' | 'output'>): {
  readonly output: string;
  readonly status: string;
  readonly counters: string;
  /** `{"powerW", "energyWh", "source"}`, where there is a ledger. */
  readonly energy: string;
  /** JSON schema of the results. */
  readonly schema: string;
  /** Answers to commands. */
  readonly reply: string;
  /** What the device has calibrated, and its drift since, of models that do. */
  readonly calibration: string;
  /** Which model works, and what became of others. */
  readonly models: string;
} {
  const { topicPrefix } = config;
  return {
    output: config.output.topic,
    status: `${topicPrefix}/status`,
    counters: `${topicPrefix}/counters`,
    energy: `${topicPrefix}/energy`,
    schema: `${topicPrefix}/schema`,
    reply: `${topicPrefix}/reply`,
    calibration: `${topicPrefix}/calibration`,
    models: `${topicPrefix}/models`,
  };
}
