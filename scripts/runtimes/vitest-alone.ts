/**
 * What the engine's tests use of vitest, from vitest's own runner and assertions, for one process and one file: so
 * they run on an emulated processor too, where vitest's worker processes and native bundler do not.
 */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from '@vitest/expect';
import { createTaskCollector, getCurrentSuite, type TestOptions } from '@vitest/runner';

export { afterAll, afterEach, beforeAll, beforeEach, describe } from '@vitest/runner';

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = Object.assign(
  (value: unknown, message?: string) => chai.expect(value, message),
  chai.expect,
  (globalThis as unknown as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT],
);

type Body = () => void;

/** Without a test's own time limit, which an emulated processor can't keep. */
export const test = createTaskCollector(function (
  this: unknown,
  name: string,
  first: Body | TestOptions,
  second?: Body | number,
) {
  const options = typeof first === 'function' ? {} : { ...first, timeout: undefined };
  const body = (typeof first === 'function' ? first : second) as Body;
  getCurrentSuite().test.fn.call(this as never, name, options as never, body as never);
});
export const it = test;
