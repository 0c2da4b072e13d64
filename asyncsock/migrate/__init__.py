"""What moves a project from Flask-SocketIO: `python -m asyncsock.migrate`, or `flask socketio migrate`.

It reads the files of a project, shows the changes that the move takes or makes them, and tells what a person
has to look at. Nothing outside of this package imports LibCST, which ``asyncsock[migrate]`` installs.
"""
