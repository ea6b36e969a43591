// The words of a layout: name labels, initials, and the colour that stays a participant's own.

import { bottom, nearestEven, type Box, type Rect } from './geometry';

const MAX_TEXT = 80;

/** A line of text on a shade, in the bottom left corner of a tile; at most as wide as `area`. */
export interface Label {
  text: string;
  area: Rect;
  /** Height of the font in pixels. */
  size: number;
  padding: number;
}

/** The label of a tile with its box and visible part; undefined where the tile is too small for any. */
export function labelIn(box: Box, visible: Rect, text: string): Label | undefined {
  const size = nearestEven(Math.min(28, Math.max(12, box.height * 0.05)));
  const height = nearestEven(size * 1.6);
  const margin = nearestEven(size / 2);
  const area = {
    x: visible.x + margin,
    y: bottom(visible) - margin - height,
    width: visible.width - 2 * margin,
    height,
  };
  if (!text || area.width < 2 * size || area.y < visible.y) return undefined;
  return { text: text.slice(0, MAX_TEXT), area, size, padding: Math.floor(size / 2) };
}

/** One or two capital letters for a name: those of its first and last word. */
export function initialsOf(name: string): string {
  const words = name
    .replace(/[-_]/g, ' ')
    .split(/\s+/)
    .map((word) => word.replace(/[^\p{L}\p{N}]/gu, ''))
    .filter(Boolean);
  const letters = words.map((word) => [...([...word][0] ?? '').toUpperCase()][0] ?? '');
  if (!letters.length) return '?';
  return letters.length === 1 ? letters[0]! : letters[0]! + letters.at(-1)!;
}

/** Dark enough for white initials. */
const PERSONAL = ['#5b3a8c', '#1f5f8b', '#1e6b52', '#8a4b1c', '#8c2f45', '#3f518c', '#5a6b1e', '#7a2f7a'];

export function personalColour(identity: string): string {
  return PERSONAL[crc32(new TextEncoder().encode(identity)) % PERSONAL.length]!;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
