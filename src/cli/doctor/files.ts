/** What the doctor finds of directories and secrets. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { GatewayConfig } from '../../gateway/config/config.ts';
import { readToken } from '../../gateway/http/access.ts';
import { fileProblem } from '../../text/file-problem.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

interface Place {
  readonly name: string;
  readonly directory: string;
  /** The most that it will come to; undefined: little. */
  readonly bytesMax: number | undefined;
}

/** Directories that the gateway will write to. */
export function placesOf({ storage, state, witnessLog, ledger, models }: GatewayConfig): Place[] {
  return [
    ...(storage === undefined
      ? []
      : [
          {
            name: 'storage',
            directory: storage.directory,
            bytesMax: storage.intakeBytes + storage.outboxBytes,
          },
        ]),
    ...(state === undefined ? [] : [{ name: 'state', directory: state.directory, bytesMax: undefined }]),
    ...(witnessLog === undefined
      ? []
      : [
          {
            name: 'witnessLog',
            directory: witnessLog.directory,
            bytesMax: witnessLog.fileBytes * witnessLog.files,
          },
        ]),
    ...(ledger === undefined ? [] : [{ name: 'ledger', directory: ledger.directory, bytesMax: undefined }]),
    // The model at work, the one before, the one on trial.
    ...(models === undefined
      ? []
      : [{ name: 'models', directory: models.directory, bytesMax: 3 * models.bytesMax }]),
  ];
}

export function checkDisk(config: GatewayConfig): Finding[] {
  const places = placesOf(config);
  if (places.length === 0)
    return [ok('disk', 'nothing is written: no storage, no witness log, no ledger, no models')];
  return places.map(checkPlace);
}

/** Writes a file where the gateway would, or beside where it would make the directory, and removes it. */
function checkPlace({ name, directory, bytesMax = 0 }: Place): Finding {
  const check = `disk ${name}`;
  const existing = nearestExisting(directory);
  try {
    tryToWrite(existing);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice =
      code === 'EROFS'
        ? 'a read-only file system: leave the section out, or name a directory elsewhere'
        : code === 'ENOSPC'
          ? 'the disk is full: make room'
          : `let this user write there: sudo chown $(id -un) ${existing}`;
    return failure(check, `${existing}: ${fileProblem(error)}`, advice);
  }
  const { bavail, bsize } = statfsSync(existing);
  const freeBytes = bavail * bsize;
  const text = `${directory}${existing === directory ? '' : ' can be made, and'} is writable; ${mebibytes(freeBytes)} free`;
  if (freeBytes >= bytesMax) return ok(check, text);
  return warning(
    check,
    `${text}, and it may come to ${mebibytes(bytesMax)}`,
    'make room, or lower the bounds in the config',
  );
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

function tryToWrite(directory: string): void {
  const path = join(directory, `.dormouse-doctor-${process.pid}`);
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, 'dormouse doctor\n');
    fsyncSync(file);
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}

/** Files and variables that hold secrets: there, readable, and not for others' eyes. */
export function checkSecrets({ mqtt, page }: GatewayConfig, env: NodeJS.ProcessEnv = process.env): Finding[] {
  const { passwordFile, passwordEnv, tls } = mqtt;
  const findings = [
    ...(passwordFile === undefined ? [] : [checkSecretFile('mqtt.passwordFile', passwordFile)]),
    ...(tls.keyFile === undefined ? [] : [checkSecretFile('mqtt.keyFile', tls.keyFile)]),
    ...(page?.tokenFile === undefined ? [] : [checkTokenFile(page.tokenFile)]),
    ...(passwordEnv === undefined ? [] : [checkVariable(passwordEnv, env)]),
  ];
  return findings.length > 0 ? findings : [ok('secrets', 'none are configured')];
}

function checkSecretFile(name: string, path: string): Finding {
  const check = `secret ${name}`;
  try {
    if (readFileSync(path).length === 0) return failure(check, `${path} is empty`, 'put the secret into it');
    const { mode } = statSync(path);
    const rights = (mode & 0o777).toString(8).padStart(4, '0');
    if ((mode & 0o077) === 0) return ok(check, `${path} is for its owner alone`);
    const whom = (mode & 0o007) === 0 ? 'its group' : 'everybody';
    return warning(check, `${path} has mode ${rights}: ${whom} may use it`, `chmod 600 ${path}`);
  } catch (error) {
    return failure(check, `${path}: ${fileProblem(error)}`, 'name a file that this user may read');
  }
}

function checkTokenFile(path: string): Finding {
  const finding = checkSecretFile('page.tokenFile', path);
  if (finding.level === 'failure') return finding;
  try {
    readToken(path);
    return finding;
  } catch (error) {
    return failure(finding.check, (error as Error).message, `openssl rand -hex 24 > ${path}`);
  }
}

function checkVariable(name: string, env: NodeJS.ProcessEnv): Finding {
  const check = 'secret mqtt.passwordEnv';
  const value = env[name];
  if (value !== undefined && value !== '') return ok(check, `${name} is set`);
  const advice = `export ${name}, or for the service: EnvironmentFile= (docs/raspberry-pi.md)`;
  return failure(check, `${name} is ${value === undefined ? 'not set' : 'empty'} here`, advice);
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
