/** Texts of a package that depend on the device: its unit for systemd, its user and its first config. */

const mebi = 1024 * 1024;
/** Above the bound on what the program may keep to itself: file pages, which the kernel can take back. */
const filePagesBytes = 64 * mebi;

/** Fills in a template; throws Error for a placeholder that nothing is known about. */
export function fillIn(template, values) {
  const lines = template.split('\n').flatMap((line) => {
    const name = /@([A-Z_]+)@/.exec(line)?.[1];
    if (name === undefined) return [line];
    if (!Object.hasOwn(values, name)) throw new Error(`template: expected a value for @${name}@`);
    // Nothing to say, so the whole line goes.
    return values[name] === '' ? [] : [line.replace(`@${name}@`, values[name])];
  });
  return lines.join('\n');
}

export function unitText(template, target) {
  return fillIn(template, {
    PROCESS_MEMORY: mebibytes(target.processBytesMax),
    MEMORY_MAX: mebibytes(target.processBytesMax + filePagesBytes),
    GROUPS: groupsOf(target),
    DEVICES: isPi(target) ? '/dev/vcio rw' : '',
  });
}

/** For systemd-sysusers. Who runs a command as the user, `doctor` say, can read what the service can. */
export function userText(template, target) {
  return fillIn(template, { GROUPS: groupsOf(target) });
}

function isPi({ cpu }) {
  return cpu.architecture === 'arm64';
}

/** Who may ask a Pi's firmware. */
function groupsOf(target) {
  return isPi(target) ? 'video' : '';
}

export function configText(template, target) {
  return fillIn(template, { TARGET: target.name, TITLE: target.title });
}

function mebibytes(bytes) {
  return `${Math.round(bytes / mebi)}M`;
}
