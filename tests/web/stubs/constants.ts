/** Stands for open-webui's `$lib/constants`. */
export const WEBUI_API_BASE_URL = '/api/v1';
