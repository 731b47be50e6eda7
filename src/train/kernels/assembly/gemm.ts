/**
 * C[m, n] = op(A) op(B), or C += with `accumulate`, float32, row-major with leading dimensions in elements.
 *
 * `form`: 0 NN (A[m,k] B[k,n]), 1 NT (A[m,k] B[n,k]), 2 TN (A[k,m] B[k,n]).
 * Both operands are packed into panels (4 rows of A, 8 columns of B, k innermost) so that one tile of 4 x 8
 * accumulators, the most that fits 16 vector registers with its operands, serves all three forms.
 * Scratch: 4 * (256 * (ceil4(m) + 8) + 32) bytes.
 */
const K_BLOCK: i32 = 256;

export function gemm(
  form: i32, m: i32, n: i32, k: i32,
  a: usize, lda: i32, b: usize, ldb: i32, c: usize, ldc: i32,
  accumulate: i32, scratch: usize,
): void {
  const edge = scratch;
  const panelB = scratch + 128;
  const panelsA = panelB + (<usize>K_BLOCK << 5);
  for (let start = 0; start < k; start += K_BLOCK) {
    const depth = min(K_BLOCK, k - start);
    const add = start > 0 ? 1 : accumulate;
    packA(form, m, depth, a + (<usize>(form == 2 ? start * lda : start) << 2), lda, panelsA);
    for (let column = 0; column < n; column += 8) {
      const width = min(8, n - column);
      packB(form, width, depth, start, column, b, ldb, panelB);
      for (let row = 0; row < m; row += 4) {
        const panelA = panelsA + (<usize>(row * depth) << 2);
        const target = c + (<usize>(row * ldc + column) << 2);
        const height = min(4, m - row);
        if (width == 8 && height == 4) tile(depth, panelA, panelB, target, <usize>ldc << 2, add);
        else edgeTile(depth, panelA, panelB, target, ldc, add, height, width, edge);
      }
    }
  }
}

/** A tile at the rim: computed whole into `edge`, and what exists is copied out. */
function edgeTile(
  depth: i32, panelA: usize, panelB: usize, c: usize, ldc: i32, add: i32, height: i32, width: i32, edge: usize,
): void {
  tile(depth, panelA, panelB, edge, 32, 0);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = c + (<usize>(row * ldc + column) << 2);
      const value = load<f32>(edge + (<usize>(row * 8 + column) << 2));
      store<f32>(at, add ? load<f32>(at) + value : value);
    }
  }
}

/** The one inner loop: 4 x 8 outputs over `depth`. `stride`: bytes between rows of c. */
function tile(depth: i32, a: usize, b: usize, c: usize, stride: usize, add: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  const end = a + (<usize>depth << 4);
  const pairs = a + (<usize>(depth & ~1) << 4);
  while (a < pairs) {
    let b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(x, b0)); c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 4);
    c10 = f32x4.add(c10, f32x4.mul(x, b0)); c11 = f32x4.add(c11, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 8);
    c20 = f32x4.add(c20, f32x4.mul(x, b0)); c21 = f32x4.add(c21, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 12);
    c30 = f32x4.add(c30, f32x4.mul(x, b0)); c31 = f32x4.add(c31, f32x4.mul(x, b1));
    b0 = v128.load(b, 32); b1 = v128.load(b, 48);
    x = v128.load32_splat(a, 16);
    c00 = f32x4.add(c00, f32x4.mul(x, b0)); c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 20);
    c10 = f32x4.add(c10, f32x4.mul(x, b0)); c11 = f32x4.add(c11, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 24);
    c20 = f32x4.add(c20, f32x4.mul(x, b0)); c21 = f32x4.add(c21, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 28);
    c30 = f32x4.add(c30, f32x4.mul(x, b0)); c31 = f32x4.add(c31, f32x4.mul(x, b1));
    a += 32;
    b += 64;
  }
  if (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(x, b0)); c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 4);
    c10 = f32x4.add(c10, f32x4.mul(x, b0)); c11 = f32x4.add(c11, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 8);
    c20 = f32x4.add(c20, f32x4.mul(x, b0)); c21 = f32x4.add(c21, f32x4.mul(x, b1));
    x = v128.load32_splat(a, 12);
    c30 = f32x4.add(c30, f32x4.mul(x, b0)); c31 = f32x4.add(c31, f32x4.mul(x, b1));
  }
  putRow(c, c00, c01, add);
  putRow(c + stride, c10, c11, add);
  putRow(c + 2 * stride, c20, c21, add);
  putRow(c + 3 * stride, c30, c31, add);
}

// @ts-ignore: decorator
@inline
function putRow(c: usize, left: v128, right: v128, add: i32): void {
  if (add) {
    left = f32x4.add(left, v128.load(c));
    right = f32x4.add(right, v128.load(c, 16));
  }
  v128.store(c, left);
  v128.store(c, right, 16);
}

/** Panels of 4 rows, each [depth][4]; rows beyond m are zero. */
function packA(form: i32, m: i32, depth: i32, a: usize, lda: i32, into: usize): void {
  for (let row = 0; row < m; row += 4) {
    const height = min(4, m - row);
    if (form == 2) packRows(a + (<usize>row << 2), lda, depth, height, 4, into);
    else packTransposed(a + (<usize>(row * lda) << 2), lda, depth, height, 4, into);
    into += <usize>depth << 4;
  }
}

/** One panel of 8 columns, [depth][8]; columns beyond n are zero. */
function packB(form: i32, width: i32, depth: i32, start: i32, column: i32, b: usize, ldb: i32, into: usize): void {
  if (form != 1) {
    packRows(b + (<usize>(start * ldb + column) << 2), ldb, depth, width, 8, into);
    return;
  }
  packTransposed(b + (<usize>(column * ldb + start) << 2), ldb, depth, width, 8, into);
}

/** into[d][lanes] = from[d * ld + lane]. */
function packRows(from: usize, ld: i32, depth: i32, width: i32, lanes: i32, into: usize): void {
  const stride = <usize>ld << 2;
  for (let d = 0; d < depth; d++) {
    if (width == lanes) {
      v128.store(into, v128.load(from));
      if (lanes == 8) v128.store(into, v128.load(from, 16), 16);
    } else {
      for (let lane = 0; lane < lanes; lane++) {
        const at = <usize>lane << 2;
        store<f32>(into + at, lane < width ? load<f32>(from + at) : 0);
      }
    }
    from += stride;
    into += <usize>lanes << 2;
  }
}

/** into[d][lanes] = from[lane * ld + d]. */
function packTransposed(from: usize, ld: i32, depth: i32, width: i32, lanes: i32, into: usize): void {
  const whole = width == lanes ? depth & ~3 : 0;
  for (let lane = 0; lane < lanes; lane += 4) {
    const source = from + (<usize>(lane * ld) << 2);
    for (let d = 0; d < whole; d += 4) {
      transpose4(source + (<usize>d << 2), <usize>ld << 2, into + (<usize>(d * lanes + lane) << 2), <usize>lanes << 2);
    }
  }
  for (let d = whole; d < depth; d++) {
    for (let lane = 0; lane < lanes; lane++) {
      const value = lane < width ? load<f32>(from + (<usize>(lane * ld + d) << 2)) : 0;
      store<f32>(into + (<usize>(d * lanes + lane) << 2), value);
    }
  }
}

// @ts-ignore: decorator
@inline
function transpose4(from: usize, fromStride: usize, into: usize, intoStride: usize): void {
  const r0 = v128.load(from), r1 = v128.load(from + fromStride);
  const r2 = v128.load(from + 2 * fromStride), r3 = v128.load(from + 3 * fromStride);
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(into, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
  v128.store(into + intoStride, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
  v128.store(into + 2 * intoStride, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
  v128.store(into + 3 * intoStride, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
}
