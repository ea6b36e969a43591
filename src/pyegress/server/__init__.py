"""LiveKit's servers from outside: where they are, the tokens that they take, and calls of their APIs."""
