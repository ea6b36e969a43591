// In which order pictures come, and how that order changes without making tiles jump.

import type { Entry } from './scene';
import { compare, seniority, type Rank } from './speaker';

const CLASSES = { screen_share: 0, camera: 1, unknown: 2 } as const;

/** Screen shares by the sharer's joining, then cameras by speech and seniority, then the rest as it came. */
export function sortOrder(entries: Entry[], rank: (identity: string) => Rank): Entry[] {
  const key = (entry: Entry): number[] => {
    const kind = CLASSES[entry.source];
    if (entry.source === 'camera') return [kind, ...rank(entry.participant.identity), ...seniority(entry)];
    return [kind, 0, 0, 0, entry.source === 'screen_share' ? entry.participant.joinedAt : 0, 0];
  };
  return entries.toSorted((one, other) => compare(key(one), key(other)));
}

/**
 * Bring `shown` to the pages of `wanted` with as little movement as possible.
 *
 * Within a page everybody keeps their place; who belongs on another page changes places with somebody who belongs here.
 * New keys come last. When somebody comes as somebody goes, the order starts afresh.
 */
export function stableOrder(shown: string[], wanted: string[], page: number): string[] {
  const joined = wanted.filter((key) => !shown.includes(key));
  if (joined.length && shown.length >= wanted.length) return [...wanted];
  const order = [...shown, ...joined];
  for (let start = 0; start < wanted.length; start += page) {
    const here = order.slice(start, start + page);
    const goal = wanted.slice(start, start + page);
    const arriving = goal.filter((key) => !here.includes(key));
    const leaving = here.filter((key) => !goal.includes(key));
    if (arriving.length !== leaving.length) continue;
    arriving.forEach((comes, index) => {
      const goes = leaving[index]!;
      const [a, b] = [order.indexOf(comes), order.indexOf(goes)];
      order[a] = goes;
      order[b] = comes;
    });
  }
  return order.filter((key) => wanted.includes(key));
}

/** Remembers an order between updates; another page size starts it afresh. */
export class StableOrder {
  #page = 0;
  #keys: string[] = [];

  update(wanted: string[], page: number): string[] {
    this.#keys = page === this.#page ? stableOrder(this.#keys, wanted, page) : [...wanted];
    this.#page = page;
    return [...this.#keys];
  }
}
