/** The program `dormouse` for a device: what a gateway needs, without what makes and judges models. */
import { gatewayCommands } from './gateway-commands.ts';
import { runProgram } from './program.ts';
import { workshopNames } from './workshop-names.ts';

await runProgram(gatewayCommands, workshopNames);
