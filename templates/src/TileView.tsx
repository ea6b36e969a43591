// One tile: background, picture, person glyph, initials, border and label.

import { useRoomContext } from '@livekit/components-react';
import type { RemoteVideoTrack, Room } from 'livekit-client';
import { useEffect, useRef, useState, type CSSProperties } from 'react';
import type { Fit, Tile } from './layout/arranger';
import { snapped, type Rect } from './layout/geometry';

const place = ({ x, y, width, height }: Rect, from = { x: 0, y: 0 }): CSSProperties => ({
  left: x - from.x,
  top: y - from.y,
  width,
  height,
});

const FITS: Record<Fit, CSSProperties> = {
  cover: { width: '100%', height: '100%', objectFit: 'cover' },
  contain: { width: '100%', height: '100%', objectFit: 'contain' },
  width: { width: '100%', height: 'auto' },
  natural: {},
};

export function TileView({ tile }: { tile: Tile }) {
  const { rect, content, label } = tile;
  return (
    <div className="tile" style={{ ...place(rect), background: tile.background, borderRadius: tile.radius }}>
      <div className="box" style={place(snapped(tile.box), rect)}>
        {content.type === 'initials' ? (
          <div className="initials" style={{ fontSize: content.size }}>
            {content.text}
          </div>
        ) : (
          <Picture sid={content.sid} fit={content.type === 'picture' ? content.fit : undefined} />
        )}
      </div>
      {content.type !== 'initials' && <Glyph rect={content.type === 'muted' ? content.glyph : undefined} tile={rect} />}
      {tile.border !== undefined && (
        <div className="border" style={{ borderWidth: tile.border, borderRadius: tile.radius }} />
      )}
      {label && (
        <div
          className="label"
          style={{
            left: label.area.x - rect.x,
            top: label.area.y - rect.y,
            maxWidth: label.area.width,
            height: label.area.height,
            lineHeight: `${label.area.height}px`,
            padding: `0 ${label.padding}px`,
            fontSize: label.size,
          }}
        >
          {label.text}
        </div>
      )}
    </div>
  );
}

/** The video of a track; without `fit` it is muted, and shows nothing until its next picture after that. */
function Picture({ sid, fit }: { sid: string; fit?: Fit }) {
  const room = useRoomContext();
  const element = useRef<HTMLVideoElement>(null);
  // Looked up each time: after a reconnection the same publication has another track.
  const track = fit ? trackOf(room, sid) : undefined;
  useEffect(() => {
    const video = element.current;
    if (!video || !track) return;
    track.attach(video);
    return () => {
      track.detach(video);
    };
  }, [track]);
  return <video ref={element} style={fit ? FITS[fit] : { display: 'none' }} muted playsInline autoPlay />;
}

function trackOf(room: Room, sid: string): RemoteVideoTrack | undefined {
  for (const participant of room.remoteParticipants.values()) {
    const publication = participant.videoTrackPublications.get(sid);
    if (publication) return publication.videoTrack as RemoteVideoTrack | undefined;
  }
  return undefined;
}

/** Fades in when its track is muted and out afterwards; there at once in a tile that begins muted. */
function Glyph({ rect, tile }: { rect?: Rect; tile: Rect }) {
  const [drawn, setDrawn] = useState(rect);
  const [opaque, setOpaque] = useState(rect !== undefined);
  useEffect(() => {
    if (rect) setDrawn(rect);
    // Only what was drawn without it before fades.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => setOpaque(rect !== undefined));
    });
    return () => cancelAnimationFrame(frame);
  }, [rect]);
  if (!drawn) return null;
  return (
    <svg
      className="glyph"
      viewBox="0 0 320 320"
      style={{ position: 'absolute', opacity: opaque ? 1 : 0, ...place(drawn, tile) }}
      aria-hidden
    >
      <mask id="neck" maskUnits="userSpaceOnUse" x="0" y="0" width="320" height="320">
        <rect width="320" height="320" fill="#fff" />
        <circle cx="160" cy="100" r="105" fill="#000" />
      </mask>
      <g fill="#fff" fillOpacity={64 / 255}>
        <circle cx="160" cy="100" r="80" />
        <path mask="url(#neck)" d="M21.4 300A140 140 0 0 1 298.6 300A18.6 20 0 0 1 280 320H40A18.6 20 0 0 1 21.4 300Z" />
      </g>
    </svg>
  );
}
