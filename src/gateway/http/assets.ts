/** The page's own files, which the build has put into this program. */
import { gunzipSync } from 'node:zlib';
import { assets as packed } from '../../page/generated/assets.ts';

export interface Asset {
  readonly type: string;
  readonly gzip: Buffer;
}

/** By path. Unpacked at the first request, since most gateways are never looked at. */
let unpacked: ReadonlyMap<string, Asset> | undefined;

export function findAsset(path: string): Asset | undefined {
  unpacked ??= new Map(
    packed.map(({ path, type, gzipBase64 }) => [path, { type, gzip: Buffer.from(gzipBase64, 'base64') }]),
  );
  return unpacked.get(path);
}

export function plainText(asset: Asset): Buffer {
  return gunzipSync(asset.gzip);
}
