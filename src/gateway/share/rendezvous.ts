/** Which of several gateways a device belongs to: highest random weight (Thaler and Ravishankar, 1998). */

/**
 * The member with the highest hash of itself and the device. Whoever knows the same members finds the same owner, and
 * when one leaves or joins, only devices of that one move. Undefined without members.
 */
export function ownerOf(device: string, members: Iterable<string>): string | undefined {
  let owner: string | undefined;
  let highest = -1;
  for (const member of members) {
    const weight = mixed(`${member}\0${device}`);
    // Of equals the first by name, whatever the order in which they are known.
    if (weight > highest || (weight === highest && member < owner!)) [owner, highest] = [member, weight];
  }
  return owner;
}

/** FNV-1a, then MurmurHash3's finaliser: names that differ in their last letter alone must not be neighbours. */
function mixed(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
