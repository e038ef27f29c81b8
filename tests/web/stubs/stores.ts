import { writable } from 'svelte/store';

/** Stands for open-webui's `$lib/stores`. */
export const chatId = writable('');
