"""The ways to a client: HTTP long-polling, WebSockets, and the upgrade from one to the other."""
