"""Connection state recovery: a client that lost its connection comes back as the same, and misses nothing."""
