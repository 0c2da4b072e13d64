"""What handlers take and return, and what the server sends: by the annotations of the application."""
