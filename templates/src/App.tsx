// The page of a RoomComposite: joins with what is in its URL, draws the layout, says when to record.

import { RoomAudioRenderer, RoomContext } from '@livekit/components-react';
import { Room } from 'livekit-client';
import { useEffect, useMemo, useState } from 'react';
import { Stage } from './Stage';
import { EgressHelper } from './room/egress';
import { recordWhenReady } from './room/recording';

/** What an egress reads before it records: the text says why it will not. */
function Failure({ text }: { text: string }) {
  return <div className="error">{text}</div>;
}

function address(): { url: string; token: string } | Error {
  try {
    return { url: EgressHelper.getLiveKitURL(), token: EgressHelper.getAccessToken() };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

export function App() {
  const where = useMemo(address, []);
  // Every picture in full: the server sends the best layer of each, whatever the size of its tile.
  const room = useMemo(() => new Room({ adaptiveStream: false, dynacast: false }), []);
  const [layout, setLayout] = useState(EgressHelper.getLayout());
  const [failure, setFailure] = useState('');

  useEffect(() => {
    if (where instanceof Error) return;
    EgressHelper.onLayoutChanged(setLayout);
    const stopWaiting = recordWhenReady(room, () => EgressHelper.startRecording());
    const joining = room.connect(where.url, where.token, { autoSubscribe: true });
    // Not before it has joined: a room that cannot be joined is an error, and not the end of a recording.
    joining.then(() => EgressHelper.setRoom(room)).catch((error: unknown) => {
      const text = `The room could not be joined: ${error instanceof Error ? error.message : String(error)}`;
      console.error(text);
      setFailure(text);
    });
    return () => {
      stopWaiting();
      void room.disconnect();
    };
  }, [room, where]);

  if (where instanceof Error) return <Failure text={where.message} />;
  if (failure) return <Failure text={failure} />;
  return (
    <RoomContext.Provider value={room}>
      <Stage layout={layout} />
      <RoomAudioRenderer />
    </RoomContext.Provider>
  );
}
