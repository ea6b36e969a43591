"""The front doors of the service: psrpc over Redis, and Twirp over HTTP."""
