/** Bytes after gzip: of what every page loads at its start, of the worker, of all that comes on demand. */
export interface Weight {
	loader: number;
	worker: number;
	onDemand: number;
	apart: number;
}

export interface Bundle {
	/** By name: the pieces, manifest.json and LICENSES.txt. */
	files: Record<string, Uint8Array | string>;
	weight: Weight;
}

export const LIMITS: Weight;
export const build: (folder: string, limits?: Weight) => Promise<Bundle>;
