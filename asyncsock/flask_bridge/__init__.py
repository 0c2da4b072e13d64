"""Flask on one side, the Socket.IO server on the other."""
