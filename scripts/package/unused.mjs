/** What dependencies bring along and nothing here ever calls, kept out of the bundles. */

/** Node's own streams, which `readable-stream` is a copy of for browsers and older versions. */
export const aliases = { 'readable-stream': 'node:stream' };

/** mqtt.js takes SOCKS proxies if it is told to, and timers of web workers if it runs in a browser. */
const unused = ['socks', 'worker-timers'];

export const withoutUnused = {
  name: 'without-unused',
  setup(build) {
    const filter = new RegExp(`^(${unused.join('|')})$`);
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: 'unused' }));
    build.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({
      contents: `const missing = () => { throw new Error('this build of dormouse has no ${path}'); };
        module.exports = new Proxy({}, { get: (_, name) => (name === '__esModule' ? undefined : missing) });`,
    }));
  },
};
