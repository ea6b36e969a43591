import { describe, expect, it } from 'vitest';
import { Arranger, type Arrangement } from '../src/layout/arranger';
import { parseLayout } from '../src/layout/layout';
import type { Scene } from '../src/layout/scene';
import type { Size } from '../src/layout/geometry';
import stories from './arrangements.json';

interface Story {
  layout: string;
  size: Size;
  steps: { now: number; scene: Scene; arrangement: Arrangement }[];
}

/** Boxes to a thousandth of a pixel, without what is undefined. */
const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_, item) => (typeof item === 'number' ? Math.round(item * 1000) / 1000 : item)),
  );

describe('arranges as the native layouts do', () => {
  (stories as Story[]).forEach(({ layout, size, steps }, number) => {
    it(`${number}: ${layout || '(none)'} at ${size.width}x${size.height}`, () => {
      const arranger = new Arranger(parseLayout(layout), size);
      for (const { now, scene, arrangement } of steps) {
        expect(plain(arranger.arrange(scene, now)), `at ${now} s`).toEqual(arrangement);
      }
    });
  });
});
