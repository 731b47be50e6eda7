import { describe, expect, it } from 'vitest';
import { type Command, UsageError } from '../../src/cli/command.ts';
import { type CommandTable, dispatch } from '../../src/cli/dispatch.ts';

function command(name: string, run: Command['run'] = async () => 0): Command {
  return { name, summary: `does ${name}`, usage: `Usage: dormouse ${name} FILE`, run };
}

function table(...commands: Command[]): CommandTable {
  return Object.fromEntries(commands.map((each) => [each.name, async () => ({ command: each })]));
}

async function call(args: string[], commands: CommandTable, debug = false, elsewhere: string[] = []) {
  let out = '';
  let error = '';
  const streams = {
    out: (text: string) => void (out += text),
    error: (text: string) => void (error += text),
  };
  const code = await dispatch(args, commands, streams, { debug, elsewhere });
  return { code, out, error };
}

const failing = (error: unknown) => async () => {
  throw error;
};

describe('dispatch', () => {
  it('hands the arguments after the name to the command and returns its exit code', async () => {
    let got: string[] = [];
    const run = async (args: string[]) => {
      got = args;
      return 7;
    };
    expect(await call(['eval', 'a', '--json'], table(command('eval', run)))).toEqual({
      code: 7,
      out: '',
      error: '',
    });
    expect(got).toEqual(['a', '--json']);
  });

  it('lists the commands with their summaries on --help', async () => {
    const { code, out } = await call(['--help'], table(command('eval'), command('inspect')));
    expect(code).toBe(0);
    expect(out).toContain('  eval     does eval\n');
    expect(out).toContain('  inspect  does inspect\n');
  });

  it('prints the list on stderr and exits 2 when no command is given', async () => {
    const { code, out, error } = await call([], table(command('eval')));
    expect([code, out]).toEqual([2, '']);
    expect(error).toContain('Usage: dormouse COMMAND');
  });

  it.each([[['eval', '--help']], [['eval', 'x', '-h']], [['help', 'eval']]])(
    'prints a usage for %j',
    async (args) => {
      const run = failing(new Error('must not run'));
      expect(await call(args, table(command('eval', run)))).toEqual({
        code: 0,
        out: 'Usage: dormouse eval FILE\n',
        error: '',
      });
    },
  );

  it('takes --help after -- as an argument', async () => {
    const { code, out } = await call(['eval', '--', '--help'], table(command('eval', async () => 3)));
    expect([code, out]).toEqual([3, '']);
  });

  it('prints the version', async () => {
    expect(await call(['--version'], {})).toEqual({ code: 0, out: 'dev\n', error: '' });
  });

  it('says so if another build of the program has the command', async () => {
    const { code, error } = await call(['train', 'x'], table(command('run')), false, ['train']);
    expect(code).toBe(2);
    expect(error).toContain("this is the build for devices, which has no 'train'; use dist/dormouse.mjs");
  });

  describe('a name of two words', () => {
    const commands = table(
      command('calibrate energy', async (args) => args.length),
      command('calibrate gate'),
      command('run'),
    );

    it('is one command, which gets what comes behind', async () => {
      expect((await call(['calibrate', 'energy', 'a', 'b', 'c'], commands)).code).toBe(3);
    });

    it.each([[['calibrate', 'energy', '--help']], [['help', 'calibrate', 'energy']]])(
      'explains itself for %j',
      async (args) => {
        expect((await call(args, commands)).out).toBe('Usage: dormouse calibrate energy FILE\n');
      },
    );

    it.each([[['calibrate', '--help']], [['help', 'calibrate']]])(
      'is told with the others that share the first word for %j',
      async (args) => {
        const { code, out } = await call(args, commands);
        expect([code, out]).toEqual([
          0,
          'Usage: dormouse calibrate energy|gate ...\n\n' +
            '  calibrate energy  does calibrate energy\n  calibrate gate    does calibrate gate\n',
        ]);
      },
    );

    it.each([[['calibrate']], [['calibrate', 'gateway.yaml']]])('is asked for by %j', async (args) => {
      const { code, error } = await call(args, commands);
      expect([code, error]).toEqual([
        2,
        "dormouse calibrate: expected 'calibrate energy' or 'calibrate gate' (see 'dormouse calibrate --help')\n",
      ]);
    });

    it('is known to be in another build, while its sibling runs here', async () => {
      const here = table(command('calibrate energy'));
      expect((await call(['calibrate', 'energy'], here, false, ['calibrate gate'])).code).toBe(0);
      const { code, error } = await call(['calibrate', 'gate', 'm'], here, false, ['calibrate gate']);
      expect([code, error]).toEqual([2, expect.stringContaining("which has no 'calibrate gate'")]);
    });
  });

  it('suggests the nearest command', async () => {
    const { code, error } = await call(['evla'], table(command('eval'), command('inspect')));
    expect(code).toBe(2);
    expect(error).toBe("dormouse: unknown command 'evla'; did you mean 'eval'? (see 'dormouse --help')\n");
  });

  it('does not take a property of Object for a command', async () => {
    expect((await call(['constructor'], table(command('eval')))).code).toBe(2);
  });

  it('names an unknown option', async () => {
    expect((await call(['--wat'], {})).error).toContain("unknown option '--wat'");
  });

  it('exits 2 with one sentence on a usage error', async () => {
    const { code, error } = await call(
      ['eval'],
      table(command('eval', failing(new UsageError('no model given')))),
    );
    expect(code).toBe(2);
    expect(error).toBe("dormouse eval: no model given (see 'dormouse eval --help')\n");
  });

  it('exits 1 with one line on any other failure, and shows the stack only for debugging', async () => {
    const commands = table(
      command('eval', failing(new Error('cannot read model.safetensors:\n  too short'))),
    );
    expect(await call(['eval'], commands)).toEqual({
      code: 1,
      out: '',
      error: 'dormouse eval: cannot read model.safetensors: too short\n',
    });
    expect((await call(['eval'], commands, true)).error).toMatch(/\n\s+at /);
  });

  it('survives a thrown non-error', async () => {
    expect((await call(['eval'], table(command('eval', failing(''))))).error).toContain(
      'failed without a reason',
    );
  });
});
