/** How a witness names a model, in three bytes. */

/** Of the model whose file has this SHA-256 (hexadecimal): its first 24 bits. */
export function modelTag(sha256: string): number {
  return Number.parseInt(sha256.slice(0, 6), 16);
}

/** A tag as the SHA-256 begins. */
export function modelText(tag: number): string {
  return tag.toString(16).padStart(6, '0');
}
