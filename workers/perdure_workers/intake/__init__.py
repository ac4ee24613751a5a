"""What reaches a worker from outside: bells, junk, remote control."""
