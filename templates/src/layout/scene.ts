// What a layout looks at: who is in the room, which pictures they send, and who is heard.

import type { Size } from './geometry';

export type VideoSource = 'camera' | 'screen_share' | 'unknown';

export interface VideoTrack {
  sid: string;
  source: VideoSource;
  muted: boolean;
  /** Pixels as the publisher announced them; 0 when unknown. */
  size: Size;
  /** Seconds, any clock: when we learned of it. */
  firstSeen: number;
}

export interface Participant {
  identity: string;
  name: string;
  /** Seconds of UTC. */
  joinedAt: number;
  /** `ParticipantInfo.Kind` in lower case. */
  kind: string;
  tracks: VideoTrack[];
}

export interface Scene {
  /** In the order in which we learned of them. */
  participants: Participant[];
  /** Levels 0..1 of those who speak now, by identity. */
  speakers: Record<string, number>;
}

/** Kinds that stand for a person, who can have a placeholder. */
const PEOPLE = new Set(['standard', 'sip', 'connector']);

export const isPerson = (participant: Participant) => PEOPLE.has(participant.kind);

/** The name, or the identity of somebody without one; on one line. */
export function shownName({ name, identity }: Participant): string {
  return (name || identity).replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
}

export function hasScreenShare({ participants }: Scene): boolean {
  return participants.some(({ tracks }) => tracks.some(({ source }) => source === 'screen_share'));
}

/** One thing that wants a tile: a video publication, or (without `track`) a person without one. */
export interface Entry {
  key: string;
  participant: Participant;
  track?: VideoTrack;
  source: VideoSource;
}

/** Everything that is drawn: a camera and a screen share of one person are two. */
export function entriesOf(scene: Scene, placeholders: boolean): Entry[] {
  return scene.participants.flatMap((participant): Entry[] => {
    if (!participant.tracks.length && placeholders && isPerson(participant)) {
      return [{ key: `participant/${participant.identity}`, participant, source: 'camera' }];
    }
    return participant.tracks.map((track) => ({ key: track.sid, participant, track, source: track.source }));
  });
}
