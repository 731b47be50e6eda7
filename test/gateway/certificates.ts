/** A certificate authority of its own for tests, by openssl. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether openssl is there; says so if not. */
export function hasOpenssl(): boolean {
  const isThere = spawnSync('openssl', ['version']).status === 0;
  if (!isThere) console.warn('openssl is not installed; tests with certificates are skipped');
  return isThere;
}

export class Authority {
  readonly #directory: string;

  /** Makes its key and certificate in `directory`. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    const subject = ['-subj', '/CN=authority', '-keyout', this.path('ca.key'), '-out', this.path('ca.pem')];
    this.#openssl(['req', '-x509', ...newKey, '-days', '2', ...subject]);
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Makes `<name>.pem` and `<name>.key`, valid for 127.0.0.1 for so many days; none: already over. */
  issue(name: string, days = 2): { certFile: string; keyFile: string } {
    const [certFile, keyFile, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) =>
      this.path(`${name}.${end}`),
    ) as [string, string, string, string];
    this.#openssl(['req', ...newKey, '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', request]);
    writeFileSync(extensions, 'subjectAltName=IP:127.0.0.1\n');
    const authority = ['-CA', this.path('ca.pem'), '-CAkey', this.path('ca.key'), '-CAcreateserial'];
    const files = ['-in', request, '-out', certFile, '-extfile', extensions];
    this.#openssl(['x509', '-req', ...authority, ...files, '-days', String(days)]);
    return { certFile, keyFile };
  }

  #openssl(args: readonly string[]): void {
    const { status, stderr } = spawnSync('openssl', [...args]);
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  }
}

/** Elliptic curves, since RSA keys take their time. */
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
