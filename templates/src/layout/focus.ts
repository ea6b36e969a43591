// The speaker layout: one main tile and a strip with the others.

import { bottom, right, type Box, type Rect } from './geometry';
import { boundedGap } from './grid';

/** Up to this width of the viewport the strip lies below the main tile. */
const STACKED_UP_TO = 600;
/** Strip : main is 1 : 5 of the width (stacked: of the height). */
const PARTS = 6;
const ASPECT = 16 / 10;
/** Width of Chrome's scroll bar, which took its room from the tiles when they were too many for the strip. */
const SCROLL_BAR = 15;
/** The carousel of components-react counts tiles by these. */
const SPAN_PER_WIDTH = 0.6;
const MIN_HEIGHT = 130;
const MIN_WIDTH = 140;
/** The strip's order is stable in blocks of this many. */
export const STRIP_BLOCK = 3;

export interface Focus {
  main: Box;
  strip: Box;
  gap: number;
}

/** The areas of main tile and strip; `asked` pixels lie around and between them. */
export function focus(canvas: Rect, asked: number): Focus {
  if (canvas.width <= STACKED_UP_TO) {
    const gap = boundedGap(asked, canvas, 1, PARTS);
    const width = canvas.width - 2 * gap;
    const part = (canvas.height - 3 * gap) / PARTS;
    const main = { x: canvas.x + gap, y: canvas.y + gap, width, height: part * (PARTS - 1) };
    return { main, strip: { x: main.x, y: bottom(main) + gap, width, height: part }, gap };
  }
  const gap = boundedGap(asked, canvas, PARTS, 1);
  const height = canvas.height - 2 * gap;
  const part = (canvas.width - 3 * gap) / PARTS;
  const strip = { x: canvas.x + gap, y: canvas.y + gap, width: part, height };
  return { main: { x: right(strip) + gap, y: strip.y, width: part * (PARTS - 1), height }, strip, gap };
}

/** Boxes of the strip's tiles from the top; the last ones may lie partly or fully below the strip. */
export function stripBoxes({ main, strip, gap }: Focus, count: number): Box[] {
  const stacked = strip.y >= bottom(main);
  const overflowing = (count * strip.width) / ASPECT + (count - 1) * gap > strip.height;
  const width = strip.width - (overflowing && !stacked ? SCROLL_BAR : 0);
  const step = width / ASPECT + gap;
  return Array.from({ length: count }, (_, index) => ({
    x: strip.x,
    y: strip.y + index * step,
    width,
    height: width / ASPECT,
  }));
}

/** How many tiles the strip counts as visible: the size of a page of its order. */
export function fitting({ strip }: Focus): number {
  const { width, height } = strip;
  const fit =
    height >= width
      ? (height - SCROLL_BAR) / Math.max(width * SPAN_PER_WIDTH, MIN_HEIGHT)
      : (width - SCROLL_BAR) / Math.max(height * ASPECT, MIN_WIDTH);
  return Math.max(1, Math.floor(fit + 0.5));
}
