// What an egress and its page say to each other, by LiveKit's SDK.

import sdk from '@livekit/egress-sdk';

// The SDK is CommonJS: its default export comes with or without a wrapping, as the bundler sees fit.
const found = sdk as typeof sdk & { default?: typeof sdk };

export const EgressHelper = found.default ?? found;
