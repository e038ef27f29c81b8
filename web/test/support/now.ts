/** Seconds since 1970. */
export const NOW = 1_795_000_000;
