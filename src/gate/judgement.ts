/** What is decided of a tick: by a policy, from what was seen, or by whoever forces it. */
import { carryFields, type StateCarrier } from './carrier.ts';
import { type LambdaWatch, makeGatePacket } from './coherence.ts';
import { Controller, lambdaWatchOf, makeGateDecision } from './controller.ts';
import { makeDemandPacket, TypicalActivity } from './demand.ts';
import { type GatePacket, Q15_ONE } from './packets.ts';
import { type Policy, policyHash } from './policy.ts';
import { RegretGate, type RegretModel } from './regret.ts';
import type { Senses } from './senses.ts';
import type { Witness } from './witness.ts';

/** What somebody forces: no token costs more than tier 2 (safe); no token at all but the first (skip). */
export type Override = 'none' | 'safe' | 'skip';

export interface JudgementOptions {
  /** false: every tick is a tier-0 token that is written. */
  readonly isGated: boolean;
  /** Compute lambda itself at every token, also where bounds would do. */
  readonly exactLambda: boolean;
  readonly regret: RegretModel | undefined;
}

const gateFields = [
  'lambdaQ15',
  'lambdaFloorQ15',
  'isExact',
  'lambdaPreviousQ15',
  'lambdaReferenceQ15',
  'boundaryEdges',
  'boundaryConcentrationQ15',
  'partitionCount',
  'agreementQ15',
  'driftUpQ8',
  'driftDownQ8',
  'ready',
] as const;

export class Judgement {
  /** Stays until it is set to `none`; `forcedByFlag` is then the reason of each tick that it changes. */
  override: Override = 'none';
  readonly gate: GatePacket = makeGatePacket();
  readonly demand = makeDemandPacket();
  readonly decision = makeGateDecision();
  readonly typical = new TypicalActivity();
  /** Whether the last tick's trust was `allow`. */
  isTrusted = true;
  readonly #options: JudgementOptions;
  #policy: Policy;
  #controller: Controller;
  #regret: RegretGate | undefined;

  /** Throws RangeError if the policy follows a regret that nothing predicts. */
  constructor(policy: Policy, options: JudgementOptions) {
    this.#options = options;
    this.#policy = policy;
    this.#regret = regretGateOf(policy, options.regret);
    this.#controller = new Controller(policy);
  }

  get policy(): Policy {
    return this.#policy;
  }

  get controller(): Controller {
    return this.#controller;
  }

  /** Of the policy, for witnesses; 0 where there is no gate. */
  get policyHash(): number {
    return this.#options.isGated ? policyHash(this.#policy) : 0;
  }

  /** What lambda has to be known for. */
  get watch(): LambdaWatch {
    const watch = lambdaWatchOf(this.#policy);
    return { ...watch, exact: watch.exact || this.#options.exactLambda };
  }

  /** From the state that the policy before has left. Throws RangeError, and changes nothing, as the constructor does. */
  usePolicy(policy: Policy): void {
    const regret = regretGateOf(policy, this.#options.regret);
    const controller = new Controller(policy);
    controller.restore(this.#controller.trust, this.#controller.compute);
    this.#policy = policy;
    this.#regret = regret;
    this.#controller = controller;
    // What only the policy before has asked for is not known any more.
    this.demand.regretQ15 = makeDemandPacket().regretQ15;
  }

  /** Whether a policy asks for nothing that is not predicted. */
  canFollow({ compute }: Policy): boolean {
    return compute !== 'followsRegret' || this.#options.regret !== undefined;
  }

  /** What goes together, and what is typical, is asked at a token. */
  measure({ spike, coherence }: Senses): void {
    if (!this.#options.isGated || !spike.fired) return;
    coherence.measure(this.isTrusted, this.gate);
    this.typical.measure(spike, this.demand);
  }

  /**
   * `witness`: has seen all that a decision rests on. `hasOutput`: there is one to hold. The first frame makes a token in
   * any case.
   */
  decide({ spike }: Senses, witness: Witness, isFirst: boolean, hasOutput: boolean): void {
    if (!this.#options.isGated) {
      this.#force();
      return;
    }
    if (this.#regret !== undefined && spike.fired) {
      // The first token knows no output to doubt.
      this.demand.regretQ15 = hasOutput ? this.#regret.predict(witness) : Q15_ONE;
      witness.regretQ15 = this.demand.regretQ15;
    }
    this.#controller.decide(spike, this.gate, this.decision, this.demand);
    if (this.decision.tier === 3 && isFirst) this.#force();
    this.isTrusted = this.decision.trust === 'allow';
  }

  /** Gives whether a flush of keys and values was decided that no token carries out. Trust stays as it was judged. */
  overrule(isFirst: boolean): boolean {
    if (this.override === 'none' || !this.#options.isGated) return false;
    const tier = this.override === 'skip' && !isFirst ? 3 : 2;
    if (this.decision.tier >= tier) return false;
    this.decision.tier = tier;
    this.decision.reason = 'forcedByFlag';
    return tier === 3 && this.decision.trust === 'flushKv';
  }

  /** Hands over what was measured and asked for. */
  carryPackets(state: StateCarrier): void {
    carryFields(state, this.gate, gateFields);
    carryFields(state, this.demand, ['noveltyTypicalQ15', 'rateTypicalQ15', 'regretQ15']);
  }

  reset(): void {
    this.#controller.reset();
    this.typical.reset();
    Object.assign(this.gate, makeGatePacket());
    Object.assign(this.demand, makeDemandPacket());
    this.isTrusted = true;
  }

  #force(): void {
    this.decision.tier = 0;
    this.decision.trust = 'allow';
    this.decision.reason = 'forcedByFlag';
  }
}

function regretGateOf(policy: Policy, model: RegretModel | undefined): RegretGate | undefined {
  if (policy.compute !== 'followsRegret') return undefined;
  if (model !== undefined) return new RegretGate(model);
  throw new RangeError(
    `policy ${policy.name}: expected a model that predicts regret, which \`dormouse calibrate gate\` makes, got one without`,
  );
}
