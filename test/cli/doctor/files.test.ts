import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkDisk, checkSecrets } from '../../../src/cli/doctor/files.ts';
import type { GatewayConfig } from '../../../src/gateway/config/config.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-doctor-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = (name: string) => join(directory, name);

function configOf(parts: object): GatewayConfig {
  return { mqtt: { tls: {} }, ...parts } as GatewayConfig;
}

function secretFile(name: string, text: string, mode: number): string {
  writeFileSync(path(name), text);
  chmodSync(path(name), mode);
  return path(name);
}

describe('disk', () => {
  const log = (folder: string, fileBytes: number) =>
    configOf({ witnessLog: { directory: folder, fileBytes, files: 2 } });

  it('is fine where the directory can be made; nothing is left behind', () => {
    const [finding] = checkDisk(log(path('a/b/c'), 1000));
    expect(finding).toMatchObject({ check: 'disk witnessLog', level: 'ok' });
    expect(finding!.text).toContain('can be made');
    expect([existsSync(path('a')), readdirSync(directory)]).toEqual([false, []]);
  });

  it('warns of too little room', () => {
    const [finding] = checkDisk(log(directory, 2 ** 60));
    expect(finding).toMatchObject({ level: 'warning', text: expect.stringContaining('may come to') });
  });

  it('fails where a file stands in the way, or nobody may write', () => {
    writeFileSync(path('file'), '');
    expect(checkDisk(log(path('file'), 1))[0]).toMatchObject({ level: 'failure' });
    const [finding] = checkDisk(log('/proc/dormouse', 1));
    expect(finding).toMatchObject({ level: 'failure', advice: expect.any(String) });
    rmSync(path('file'));
  });

  it('says so where nothing is written', () => {
    expect(checkDisk(configOf({}))).toEqual([expect.objectContaining({ level: 'ok' })]);
  });
});

describe('secrets', () => {
  const secret = 'hunter2-hunter2-hunter2';

  it.each([
    [0o600, 'ok'],
    [0o640, 'warning'],
    [0o644, 'warning'],
  ])('a password file of mode %o: %s', (mode, level) => {
    const passwordFile = secretFile('password', secret, mode);
    const findings = checkSecrets(configOf({ mqtt: { passwordFile, tls: {} } }));
    expect(findings.map((finding) => finding.level)).toEqual([level]);
    expect(JSON.stringify(findings)).not.toContain('hunter2');
  });

  it('fails for what is not there, empty, or no token', () => {
    const cases = [
      { mqtt: { passwordFile: path('absent'), tls: {} } },
      { mqtt: { passwordFile: secretFile('empty', '', 0o600), tls: {} } },
      { mqtt: { tls: { keyFile: path('absent') } } },
      { mqtt: { passwordEnv: 'DORMOUSE_TEST_PASSWORD', tls: {} } },
      { page: { tokenFile: secretFile('token', 'hunter2', 0o600) } },
    ];
    for (const parts of cases) {
      const [finding] = checkSecrets(configOf(parts), {});
      expect(finding, JSON.stringify(parts)).toMatchObject({ level: 'failure', advice: expect.any(String) });
      expect(JSON.stringify(finding)).not.toContain('hunter2');
    }
  });

  it('takes a variable that is set, and never tells its value', () => {
    const config = configOf({ mqtt: { passwordEnv: 'X', tls: {} } });
    const findings = checkSecrets(config, { X: secret });
    expect(findings).toEqual([{ check: 'secret mqtt.passwordEnv', level: 'ok', text: 'X is set' }]);
  });

  it('a directory in place of a file is told, not thrown', () => {
    mkdirSync(path('folder'));
    expect(checkSecrets(configOf({ mqtt: { passwordFile: path('folder'), tls: {} } }))[0]!.level).toBe(
      'failure',
    );
  });
});
