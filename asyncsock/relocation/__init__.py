"""Clients that lost their connection and come back to another process than before."""
