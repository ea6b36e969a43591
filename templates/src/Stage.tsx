// Draws the arrangement of a room and follows its changes.

import { useRoomContext } from '@livekit/components-react';
import { useEffect, useMemo, useState } from 'react';
import { TileView } from './TileView';
import { Arranger, type Arrangement } from './layout/arranger';
import { parseLayout } from './layout/layout';
import { onSceneChange, sceneOf } from './room/scene';

export function Stage({ layout }: { layout: string }) {
  const { background, tiles } = useArrangement(layout);
  // In an order that never changes: pictures move by their places, and no element is made anew for it.
  const ordered = tiles.toSorted((one, other) => (one.key < other.key ? -1 : 1));
  return (
    <div className="stage" style={{ background }}>
      {ordered.map((tile) => (
        <TileView key={tile.key} tile={tile} />
      ))}
    </div>
  );
}

const seconds = () => performance.now() / 1000;

function useArrangement(layout: string): Arrangement {
  const room = useRoomContext();
  const firstSeen = useMemo(() => new Map<string, number>(), []);
  const arranger = useMemo(
    () => new Arranger(parseLayout(layout), { width: window.innerWidth, height: window.innerHeight }),
    [],
  );
  const [arrangement, setArrangement] = useState<Arrangement>({ background: '#000000', tiles: [] });

  useEffect(() => {
    let timer: number | undefined;
    const arrange = () => {
      clearTimeout(timer);
      const now = seconds();
      setArrangement(arranger.arrange(sceneOf(room, firstSeen, now), now));
      const next = arranger.nextChange(now);
      if (next !== undefined) timer = window.setTimeout(arrange, (next - now) * 1000 + 1);
    };
    arranger.layout = parseLayout(layout);
    arrange();
    const leave = onSceneChange(room, arrange);
    return () => {
      clearTimeout(timer);
      leave();
    };
  }, [room, arranger, firstSeen, layout]);

  return arrangement;
}
