"""What a server shows of its work to those who run it."""
