/**
 * What a row of a batch sees of the tokens before it: a list of [1 + most] int32, how many ages and then the ages,
 * ascending, 0 (itself) first. Without a list it sees every age.
 */

/** A row's list for a head; sights: [heads] addresses of lists of all rows, or address 0: none has one. */
// @ts-ignore: decorator
@inline
export function listOf(sights: usize, head: i32, row: i32, most: i32): usize {
  if (!sights) return 0;
  return <usize>load<u32>(sights + (<usize>head << 2)) + (<usize>(row * (1 + most)) << 2);
}

// @ts-ignore: decorator
@inline
export function seenBy(list: usize, all: i32): i32 {
  return list ? load<i32>(list) : all;
}

/** The age in place `i`. */
// @ts-ignore: decorator
@inline
export function ageAt(list: usize, i: i32): usize {
  return list ? <usize>load<u32>(list + 4 + (<usize>i << 2)) : <usize>i;
}
