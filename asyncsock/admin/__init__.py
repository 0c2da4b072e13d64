"""The server's side of the official Admin UI, which shows what is there and acts on it."""
