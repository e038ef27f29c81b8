/** How long a document may be on its way before another is written over it, in milliseconds. */
const PATIENCE = 500;

/** What a frame is to show: `srcdoc`. */
type Text = string | null;

/**
 * Writes documents into frames, each after the one before it has come; of those that wait only the
 * newest is written.
 *
 * Chromium loses a document that is written while another is on its way into a frame with an origin of
 * its own: the frame goes on showing the older one. An answer that comes word by word does that.
 */
export const oneAfterTheOther = (write: (frame: HTMLIFrameElement, text: Text) => void) => {
	const onTheirWay = new WeakMap<HTMLIFrameElement, { newest?: { text: Text } }>();

	const send = (frame: HTMLIFrameElement, text: Text): void => {
		const sent: { newest?: { text: Text } } = {};
		onTheirWay.set(frame, sent);
		const come = (): void => {
			frame.removeEventListener('load', come);
			clearTimeout(patience);
			if (onTheirWay.get(frame) !== sent) return;
			onTheirWay.delete(frame);
			if (sent.newest) send(frame, sent.newest.text);
		};
		const patience = setTimeout(come, PATIENCE);
		frame.addEventListener('load', come);
		write(frame, text);
	};

	return (frame: HTMLIFrameElement, text: Text): void => {
		const before = onTheirWay.get(frame);
		// Outside the page nothing is on its way.
		if (before && frame.isConnected) before.newest = { text };
		else send(frame, text);
	};
};
