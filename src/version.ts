/** The version of this build. */
declare const DORMOUSE_VERSION: string | undefined;

/** Set by the build from package.json; `dev` when run from source. */
export const version = typeof DORMOUSE_VERSION === 'string' ? DORMOUSE_VERSION : 'dev';
