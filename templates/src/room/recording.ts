// When the recording begins: with the first picture, or, where there is none, with the first sound.

import { Track, type RemoteTrackPublication, type Room } from 'livekit-client';

const LOOK_EVERY = 100;
/** Milliseconds: nobody has published video. */
const WITHOUT_VIDEO = 500;
/** Milliseconds: video was published, but no picture came. */
const WITHOUT_PICTURE = 5000;

/** Calls `start` once. Returns what ends the waiting. */
export function recordWhenReady(room: Room, start: () => void): () => void {
  const begun = performance.now();
  const timer = setInterval(() => {
    const tracks = [...room.remoteParticipants.values()].flatMap((one) => [...one.trackPublications.values()]);
    if (!ready(tracks, performance.now() - begun)) return;
    clearInterval(timer);
    start();
  }, LOOK_EVERY);
  return () => clearInterval(timer);
}

function ready(tracks: RemoteTrackPublication[], waited: number): boolean {
  if (!tracks.some(({ isSubscribed }) => isSubscribed)) return false;
  const videos = tracks.filter(({ kind }) => kind === Track.Kind.Video);
  if (videos.some(hasPicture)) return true;
  return waited > (videos.length ? WITHOUT_PICTURE : WITHOUT_VIDEO);
}

function hasPicture({ track }: RemoteTrackPublication): boolean {
  return !!track?.attachedElements.some(
    (element) => element instanceof HTMLVideoElement && element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA,
  );
}
