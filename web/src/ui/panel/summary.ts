import type { TextKey } from '../../i18n/en';
import type { Translate } from '../../i18n/texts';
import type { Verdict } from '../../session/attest';
import type { State } from '../../session/session';
import { toldAs } from '../state';
import { moment, shown } from './section';

/** Who came to this result. */
const whoOf = ({ choice }: Verdict, t: Translate): string => {
	if (!choice || choice.provider === 'dcap') return t('summary.dcap');
	return t('summary.service', t(`provider.${choice.provider}`), shown(choice.address));
};

/** Who checked when, and until when that holds; of a try that failed only when it was. */
const circumstances = (verdict: Verdict, t: Translate): string => {
	const at = moment(verdict.at);
	if (verdict.status === 'red') return t('summary.tried', at);
	return t('summary.checked', whoOf(verdict, t), at, moment(verdict.expires));
};

/** What a state means. A model elsewhere is the one thing that turns a green verdict amber. */
const meaningOf = (state: State, model: string | null): TextKey => {
	const told = toldAs(state, model);
	const isGreen = state.kind === 'done' && state.verdict.status === 'green';
	return told === 'amber' && isGreen ? 'summary.elsewhere' : `summary.${told}`;
};

/**
 * In plain words: what was proved, or was not, by whom, and until when that holds.
 *
 * @param model The model in use, where one is.
 */
export const summaryOf = (state: State, model: string | null, t: Translate): string => {
	const meaning = t(meaningOf(state, model));
	return state.kind === 'done' ? `${meaning} ${circumstances(state.verdict, t)}` : meaning;
};
