/** A broker on the command line: the settings of a config file, with their checks. */
import { formatProblem, Problems, Section } from '../gateway/config/checker.ts';
import type { MqttConfig } from '../gateway/config/config.ts';
import { mqttKeys, readMqtt } from '../gateway/config/sections.ts';
import { UsageError } from './command.ts';

/** Options of `parseOptions` that name who connects. */
export const credentialOptions = {
  username: { type: 'string' },
  'password-file': { type: 'string' },
  'password-env': { type: 'string' },
} as const;

export interface BrokerOptions {
  readonly username?: string | undefined;
  readonly 'password-file'?: string | undefined;
  readonly 'password-env'?: string | undefined;
}

/** What a config's `mqtt` section would say. */
export function brokerFields(url: string, values: BrokerOptions): Record<string, unknown> {
  const fields = {
    url,
    username: values.username,
    passwordFile: values['password-file'],
    passwordEnv: values['password-env'],
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** The settings to connect with, under a client id that is nobody else's. Throws UsageError. */
export function readBroker(url: string, values: BrokerOptions, command: string): MqttConfig {
  const problems = new Problems();
  const clientId = `dormouse-${command}-${process.pid}-${Date.now().toString(36)}`;
  const fields = { ...brokerFields(url, values), clientId, reconnectMaxMs: 5000 };
  const mqtt = readMqtt(new Section(problems, ['broker'], fields, mqttKeys), command, process.cwd());
  if (problems.list.length > 0) throw new UsageError(problems.list.map(formatProblem).join('; '));
  return mqtt;
}
