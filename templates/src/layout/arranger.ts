// From the scene to the arrangement: keeps the order of tiles, the main speaker and the fit of each track.

import { focus, fitting, STRIP_BLOCK, stripBoxes } from './focus';
import { centred, cut, evenCanvas, isEmpty, nearestEven, snapped, type Box, type Rect, type Size } from './geometry';
import { gridBoxes, gridShape } from './grid';
import { initialsOf, labelIn, personalColour, type Label } from './label';
import { arrangingOf, isLight, type Arranging, type Layout } from './layout';
import { sortOrder, StableOrder } from './order';
import { entriesOf, hasScreenShare, shownName, type Entry, type Scene } from './scene';
import { SpeakerPicker } from './speaker';

/** As CSS `object-fit`; `width` is as wide as the box at its top, `natural` unscaled at its top left corner. */
export type Fit = 'cover' | 'contain' | 'width' | 'natural';

export type Content =
  | { type: 'picture'; sid: string; fit: Fit }
  | { type: 'muted'; sid: string; glyph?: Rect }
  | { type: 'initials'; text: string; size: number };

export interface Tile {
  key: string;
  identity: string;
  /** What of it is on the canvas. */
  rect: Rect;
  /** All of it before it meets pixels and the canvas's edge. */
  box: Box;
  /** Undefined is transparent. */
  background?: string;
  content: Content;
  radius: number;
  /** Pixels; undefined without one. */
  border?: number;
  label?: Label;
}

export interface Arrangement {
  background: string;
  tiles: Tile[];
}

/** Arranges one room in one viewport. Call `arrange` at every change of the scene and at `nextChange`. */
export class Arranger {
  #size: Size;
  #canvas: Rect;
  #picker = new SpeakerPicker();
  #portrait = new Map<string, boolean>();
  #arranging: Arranging | undefined;
  #gridOrder = new StableOrder();
  #stripBlocks = new StableOrder();
  #stripOrder = new StableOrder();

  constructor(
    public layout: Layout,
    size: Size,
  ) {
    this.#size = size;
    this.#canvas = evenCanvas(size);
  }

  /** When the arrangement will change though nothing happens in the room. */
  nextChange(now: number): number | undefined {
    return this.#picker.nextChange(now);
  }

  /** The arrangement at `now` (seconds), which never goes back. */
  arrange(scene: Scene, now: number): Arrangement {
    const present = new Set(scene.participants.map(({ identity }) => identity));
    this.#picker.keep(present);
    this.#picker.hear(Object.fromEntries(Object.entries(scene.speakers).filter(([who]) => present.has(who))), now);
    const entries = entriesOf(scene, this.layout.options.placeholders);
    this.#notePortraits(entries);
    const arranging = arrangingOf(this.layout, hasScreenShare(scene));
    if (arranging !== this.#arranging) {
      this.#gridOrder = new StableOrder();
      this.#forgetStrip();
      this.#arranging = arranging;
    }
    const ordered = sortOrder(entries, (identity) => this.#picker.settled(identity, now));
    // Asked even while nothing depends on it, so that the main speaker is known when it does.
    const main = this.#main(ordered, now);
    const tiles = { grid: () => this.#grid(ordered), speaker: () => this.#speaker(main, ordered) };
    return {
      background: isLight(this.layout) ? '#ffffff' : '#000000',
      tiles: arranging === 'single-speaker' ? this.#lone(main) : tiles[arranging](),
    };
  }

  #forgetStrip(): void {
    this.#stripBlocks = new StableOrder();
    this.#stripOrder = new StableOrder();
  }

  /** Decide the fit of each track when it comes with a size: one that turns later keeps it. */
  #notePortraits(entries: Entry[]): void {
    const known = this.#portrait;
    this.#portrait = new Map();
    for (const { key, track } of entries) {
      if (!track) continue;
      const { width, height } = track.size;
      const before = known.get(key);
      if (before !== undefined) this.#portrait.set(key, before);
      else if (width > 0 && height > 0) this.#portrait.set(key, width <= height);
    }
  }

  /** A screen share if there is one, else the picked camera, else whatever there is. */
  #main(ordered: Entry[], now: number): Entry | undefined {
    const picked = this.#picker.pick(
      ordered.filter(({ source }) => source === 'camera'),
      now,
    );
    return ordered[0]?.source === 'camera' ? picked : ordered[0];
  }

  #grid(ordered: Entry[]): Tile[] {
    const shape = gridShape(ordered.length, this.#size.width, this.#size.height);
    const boxes = gridBoxes(shape, ordered.length, this.#canvas, this.layout.options.gap);
    const byKey = new Map(ordered.map((entry) => [entry.key, entry]));
    const keys = this.#gridOrder.update([...byKey.keys()], shape.capacity);
    return boxes.map((box, index) => this.#tile(byKey.get(keys[index]!)!, box, snapped(box)));
  }

  #speaker(main: Entry | undefined, ordered: Entry[]): Tile[] {
    const others = new Map(ordered.filter(({ key }) => key !== main?.key).map((entry) => [entry.key, entry]));
    if (!main || !others.size) {
      this.#forgetStrip();
      return this.#lone(main);
    }
    const areas = focus(this.#canvas, this.layout.options.gap);
    const blocks = this.#stripBlocks.update([...others.keys()], STRIP_BLOCK);
    const keys = this.#stripOrder.update(blocks, fitting(areas));
    const strip = snapped(areas.strip);
    const tiles = [this.#tile(main, areas.main, snapped(areas.main))];
    stripBoxes(areas, keys.length).forEach((box, index) => {
      const visible = cut(snapped(box), strip);
      if (!isEmpty(visible)) tiles.push(this.#tile(others.get(keys[index]!)!, box, visible));
    });
    return tiles;
  }

  /** One picture over everything, without glyph, gap and corners. */
  #lone(main: Entry | undefined): Tile[] {
    return main ? [this.#tile(main, this.#canvas, this.#canvas, true)] : [];
  }

  #tile(entry: Entry, box: Box, visible: Rect, lone = false): Tile {
    const { options } = this.layout;
    const { identity } = entry.participant;
    const speaking = options.speaking && !lone && this.#picker.isSpeaking(identity);
    return {
      key: entry.key,
      identity,
      rect: visible,
      box,
      background: this.#background(entry),
      content: this.#content(entry, box, lone),
      radius: lone ? 0 : Math.min(options.radius, Math.floor(visible.width / 2), Math.floor(visible.height / 2)),
      border: speaking ? Math.max(2, nearestEven(this.#canvas.height / 180)) : undefined,
      label: options.names ? labelIn(box, visible, labelText(entry)) : undefined,
    };
  }

  #background(entry: Entry): string | undefined {
    if (!entry.track) return personalColour(entry.participant.identity);
    return entry.source === 'camera' && !this.#portrait.get(entry.key) ? '#000000' : undefined;
  }

  #content(entry: Entry, box: Box, lone: boolean): Content {
    const { track } = entry;
    if (!track) {
      const size = Math.max(2, nearestEven(Math.min(box.width, box.height) * 0.35));
      return { type: 'initials', text: initialsOf(shownName(entry.participant)), size };
    }
    if (!track.muted) return { type: 'picture', sid: track.sid, fit: this.#fit(entry, lone) };
    const side = Math.min(box.height, 0.8 * box.width);
    const glyph = track.source === 'camera' && !lone ? snapped(centred(box, side, side)) : undefined;
    return { type: 'muted', sid: track.sid, glyph };
  }

  #fit(entry: Entry, lone: boolean): Fit {
    switch (entry.source) {
      case 'camera':
        return this.#portrait.get(entry.key) ? 'contain' : 'cover';
      case 'screen_share':
        return 'contain';
      case 'unknown':
        return lone ? 'natural' : 'width';
    }
  }
}

function labelText(entry: Entry): string {
  const name = shownName(entry.participant);
  return entry.source === 'screen_share' ? `${name}'s screen` : name;
}
