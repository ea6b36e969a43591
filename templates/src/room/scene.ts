// The room as layouts see it.

import { ParticipantKind, RoomEvent, Track, type Room } from 'livekit-client';
import type { Participant, Scene, VideoSource, VideoTrack } from '../layout/scene';

const SOURCES: Partial<Record<Track.Source, VideoSource>> = {
  [Track.Source.Camera]: 'camera',
  [Track.Source.ScreenShare]: 'screen_share',
  [Track.Source.Unknown]: 'unknown',
};

const CHANGES = [
  RoomEvent.Connected,
  RoomEvent.Reconnected,
  RoomEvent.Disconnected,
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.ActiveSpeakersChanged,
] as const;

/** Calls `changed` whenever a layout may look different. Returns what ends it. */
export function onSceneChange(room: Room, changed: () => void): () => void {
  for (const event of CHANGES) room.on(event, changed);
  return () => {
    for (const event of CHANGES) room.off(event, changed);
  };
}

/** `firstSeen` remembers when each track was seen first, in seconds; it is kept up to date. */
export function sceneOf(room: Room, firstSeen: Map<string, number>, now: number): Scene {
  const participants = [...room.remoteParticipants.values()].map((one): Participant => {
    const tracks = [...one.videoTrackPublications.values()].flatMap((publication): VideoTrack[] => {
      const source = SOURCES[publication.source];
      if (!source || !publication.isSubscribed) return [];
      const sid = publication.trackSid;
      if (!firstSeen.has(sid)) firstSeen.set(sid, now);
      const { width, height } = publication.dimensions ?? { width: 0, height: 0 };
      return [{ sid, source, muted: publication.isMuted, size: { width, height }, firstSeen: firstSeen.get(sid)! }];
    });
    return {
      identity: one.identity,
      name: one.name ?? '',
      joinedAt: (one.joinedAt?.getTime() ?? 0) / 1000,
      kind: ParticipantKind[one.kind]?.toLowerCase() ?? 'standard',
      tracks,
    };
  });
  const speakers = Object.fromEntries(room.activeSpeakers.map((one) => [one.identity, one.audioLevel]));
  return { participants, speakers };
}
