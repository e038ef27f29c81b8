/** All that a page needs only once it checks or the settings are open: one piece of code. */
import { addTexts } from './text';
import { LATER } from './wording';

export { attest } from './attest';
export { settingsForm } from './form';

addTexts(LATER);
