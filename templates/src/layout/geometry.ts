// Boxes of a layout in fractional pixels, and their rectangles on even pixels, as the native compositor draws them.

export interface Size {
  width: number;
  height: number;
}

/** x, y is the top left corner. */
export interface Box extends Size {
  x: number;
  y: number;
}

/** A box whose numbers are whole and even. */
export type Rect = Box;

export const right = (box: Box) => box.x + box.width;
export const bottom = (box: Box) => box.y + box.height;

/** Every edge moved to the nearest even pixel, so that boxes that touch still do. */
export function snapped(box: Box): Rect {
  const x = nearestEven(box.x);
  const y = nearestEven(box.y);
  return { x, y, width: nearestEven(right(box)) - x, height: nearestEven(bottom(box)) - y };
}

/** What both cover; sides of 0 when they do not meet. */
export function cut(one: Rect, other: Rect): Rect {
  const x = Math.max(one.x, other.x);
  const y = Math.max(one.y, other.y);
  return {
    x,
    y,
    width: Math.max(0, Math.min(right(one), right(other)) - x),
    height: Math.max(0, Math.min(bottom(one), bottom(other)) - y),
  };
}

export const isEmpty = (rect: Rect) => rect.width <= 0 || rect.height <= 0;

export function centred(box: Box, width: number, height: number): Box {
  return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height };
}

/** The even number nearest to `value`; an odd one goes up. Sums of thirds of pixels are not exact. */
export function nearestEven(value: number): number {
  return 2 * Math.floor(Math.round((value / 2) * 1e6) / 1e6 + 0.5);
}

/** The part of the viewport that the layout uses: all but an odd last column or row. */
export function evenCanvas(size: Size): Rect {
  return { x: 0, y: 0, width: size.width & ~1, height: size.height & ~1 };
}
