// Who is the main speaker: LiveKit's order, with a hold that keeps the main picture from flickering.

import type { Entry } from './scene';

/** Seconds that a speaker has to stay first before becoming the main one. */
export const HOLD = 0.6;

/** Smaller is first: speakers by level, then those who spoke by how late they started, then the others. */
export type Rank = readonly [number, number];

const SILENT: Rank = [2, 0];

export function compare(one: readonly number[], other: readonly number[]): number {
  const differing = one.findIndex((value, index) => value !== other[index]);
  return differing < 0 ? 0 : one[differing]! - other[differing]!;
}

/** Enabled cameras before muted ones before placeholders, then by the time of joining. */
export function seniority({ participant, track }: Entry): readonly number[] {
  return track ? [Number(track.muted), participant.joinedAt, track.firstSeen] : [2, participant.joinedAt, 0];
}

interface Speech {
  started: number;
  level: number;
}

/** Follows the speakers of a room and picks the main one. `now` is in seconds and never goes back. */
export class SpeakerPicker {
  #speech = new Map<string, Speech>();
  #spokeAt = new Map<string, number>();
  #main: string | undefined;
  #challenger: string | undefined;
  #challengedAt = 0;

  /** Take note of everybody who speaks: level 0..1 by identity. Who is not in it is silent. */
  hear(levels: Record<string, number>, now: number): void {
    for (const [identity, speech] of this.#speech) {
      if (identity in levels) continue;
      this.#speech.delete(identity);
      if (now >= speech.started + HOLD) this.#spokeAt.set(identity, speech.started);
    }
    for (const [identity, level] of Object.entries(levels)) {
      const speech = this.#speech.get(identity);
      if (speech) speech.level = level;
      else this.#speech.set(identity, { started: now, level });
    }
  }

  /** Forget everybody else: who comes back has not spoken yet. */
  keep(identities: Set<string>): void {
    for (const known of [this.#speech, this.#spokeAt]) {
      for (const identity of [...known.keys()]) if (!identities.has(identity)) known.delete(identity);
    }
  }

  isSpeaking(identity: string): boolean {
    return this.#speech.has(identity);
  }

  /** As the server reports it. */
  heard(identity: string): Rank {
    const speech = this.#speech.get(identity);
    return speech ? [0, -speech.level] : this.#former(identity);
  }

  /** Without speech that is younger than the hold. */
  settled(identity: string, now: number): Rank {
    const speech = this.#speech.get(identity);
    return speech && now >= speech.started + HOLD ? [0, -speech.level] : this.#former(identity);
  }

  /** The main picture among `candidates`. Who comes first by speech has to stay first for the hold. */
  pick(candidates: Entry[], now: number): Entry | undefined {
    const rank = (entry: Entry) => this.heard(entry.participant.identity);
    const order = (one: Entry, other: Entry) =>
      compare(rank(one), rank(other)) || compare(seniority(one), seniority(other));
    const first = candidates.toSorted(order)[0];
    const main = candidates.find(({ key }) => key === this.#main);
    if (!first || !main || first.key === main.key) return this.#settle(first);
    if (!compare(rank(first), rank(main))) {
      // The server rounds levels, and reports two who start at once together: no reason to move.
      return this.#settle(compare(rank(main), SILENT) ? main : first);
    }
    if (this.#challenger !== first.key) {
      this.#challenger = first.key;
      this.#challengedAt = now;
    }
    return now >= this.#challengedAt + HOLD ? this.#settle(first) : main;
  }

  /** When `pick` or `settled` will answer differently though nothing happens. */
  nextChange(now: number): number | undefined {
    const times = [...this.#speech.values()].map(({ started }) => started + HOLD);
    if (this.#challenger !== undefined) times.push(this.#challengedAt + HOLD);
    const later = times.filter((time) => time > now);
    return later.length ? Math.min(...later) : undefined;
  }

  #former(identity: string): Rank {
    const spokeAt = this.#spokeAt.get(identity);
    return spokeAt === undefined ? SILENT : [1, -spokeAt];
  }

  #settle(main: Entry | undefined): Entry | undefined {
    this.#main = main?.key;
    this.#challenger = undefined;
    return main;
  }
}
