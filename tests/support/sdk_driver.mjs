// Drives LiveKit's server SDK for Node, told what to do by lines of JSON on standard input; answers with lines of JSON.
// node sdk_driver.mjs FOLDER, where FOLDER/node_modules holds livekit-server-sdk.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const sdk = createRequire(`${process.argv[2]}/`)('livekit-server-sdk');
let client;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const json = (message) => message.toJson();
// One of each kind.
const kinds = {
  file: [sdk.EncodedFileOutput, 'file_outputs'],
  stream: [sdk.StreamOutput, 'stream_outputs'],
  segments: [sdk.SegmentedFileOutput, 'segment_outputs'],
  images: [sdk.ImageOutput, 'image_outputs'],
};
const outputs = (request) =>
  Object.fromEntries(
    Object.entries(kinds)
      .filter(([, [, field]]) => request[field]?.length)
      .map(([name, [type, field]]) => [name, type.fromJson(request[field][0])]),
  );
const options = (request, others = {}) => ({
  ...others,
  encodingOptions: request.advanced ? sdk.EncodingOptions.fromJson(request.advanced) : undefined,
  webhooks: webhooks(request),
});
const webhooks = (request) => (request.webhooks ?? []).map((hook) => sdk.WebhookConfig.fromJson(hook));

// One for each request of the API, as people call it in their programs.
const starts = {
  RoomCompositeEgressRequest: (r) =>
    client.startRoomCompositeEgress(r.room_name, outputs(r), options(r, { layout: r.layout, audioOnly: r.audio_only })),
  ParticipantEgressRequest: (r) => client.startParticipantEgress(r.room_name, r.identity, outputs(r), options(r)),
  TrackCompositeEgressRequest: (r) =>
    client.startTrackCompositeEgress(
      r.room_name,
      outputs(r),
      options(r, { audioTrackId: r.audio_track_id, videoTrackId: r.video_track_id }),
    ),
  TrackEgressRequest: (r) =>
    client.startTrackEgress(r.room_name, sdk.DirectFileOutput.fromJson(r.file), r.track_id, webhooks(r)),
  WebEgressRequest: (r) => client.startWebEgress(r.url, outputs(r), options(r)),
  StartEgressRequest: (r) => client.startEgress(sdk.StartEgressRequest.fromJson(r)),
};

const methods = {
  connect: async ({ url, key, secret }) => {
    client = new sdk.EgressClient(url, key, secret);
  },
  start: async ({ kind, request }) => json(await starts[kind](request)),
  stop: async ({ id }) => json(await client.stopEgress(id)),
  layout: async ({ id, layout }) => json(await client.updateLayout(id, layout)),
  stream: async ({ id, add, remove }) => json(await client.updateStream(id, add, remove)),
  list: async (options) => (await client.listEgress(options)).map(json),
  receive: async ({ key, secret }) => {
    const receiver = new sdk.WebhookReceiver(key, secret);
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (piece) => (body += piece));
      request.on('end', async () => {
        try {
          say({ event: json(await receiver.receive(body, request.headers.authorization)) });
          response.end();
        } catch (error) {
          say({ rejected: String(error) });
          response.writeHead(401).end();
        }
      });
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${server.address().port}/hook`;
  },
};

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { call, method, options } = JSON.parse(line);
    try {
      say({ call, result: (await methods[method](options)) ?? null });
    } catch (error) {
      say({ call, error: { code: error.code ?? '', status: error.status ?? 0, message: String(error.message) } });
    }
  })
  .on('close', () => process.exit(0));
