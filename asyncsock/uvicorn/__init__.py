"""The engine served straight on uvicorn's connections, without ASGI."""
