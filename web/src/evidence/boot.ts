/** The registers that firmware and boot loader fill: who names them all knows what was started. */
export const BOOT = ['mr_td', 'rtmr_0', 'rtmr_1', 'rtmr_2'] as const;
