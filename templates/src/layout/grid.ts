// The grid: how many columns, how many tiles at most, and where each is.

import type { Box, Rect } from './geometry';

export interface GridShape {
  columns: number;
  /** Tiles that it holds at most. */
  capacity: number;
  /** Pixels that the viewport needs to be wide. */
  minWidth: number;
}

const shape = (columns: number, capacity: number, minWidth = 0): GridShape => ({ columns, capacity, minWidth });

const SINGLE = shape(1, 1);
const STACKED = shape(1, 2);
const SIDE_BY_SIDE = shape(2, 2);
const LARGER = [shape(2, 4, 560), shape(3, 9, 700), shape(4, 16, 960), shape(5, 25, 1100)];

/** The smallest grid for `count` tiles in a viewport of this size, or the largest that its width allows. */
export function gridShape(count: number, width: number, height: number): GridShape {
  const shapes = [SINGLE, width > height ? SIDE_BY_SIDE : STACKED, ...LARGER];
  const holding = shapes.findIndex((each) => each.capacity >= count);
  const wanted = holding < 0 ? shapes.length - 1 : holding;
  return shapes.slice(0, wanted + 1).findLast((each) => width >= each.minWidth) ?? SINGLE;
}

/** Boxes of the first `count` tiles: row by row, the last row left aligned. */
export function gridBoxes(grid: GridShape, count: number, canvas: Rect, asked: number): Box[] {
  const shown = Math.min(count, grid.capacity);
  if (shown <= 0) return [];
  const rows = Math.ceil(shown / grid.columns);
  const gap = boundedGap(asked, canvas, grid.columns, rows);
  const width = (canvas.width - gap) / grid.columns;
  const height = (canvas.height - gap) / rows;
  return Array.from({ length: shown }, (_, index) => ({
    x: canvas.x + gap + (index % grid.columns) * width,
    y: canvas.y + gap + Math.floor(index / grid.columns) * height,
    width: width - gap,
    height: height - gap,
  }));
}

/** The gap, but no more than leaves half of each side of the canvas to the tiles. */
export function boundedGap(gap: number, canvas: Rect, columns: number, rows: number): number {
  const most = (side: number, tiles: number) => Math.floor(side / (2 * (tiles + 1)));
  return Math.min(gap, most(canvas.width, columns), most(canvas.height, rows));
}
