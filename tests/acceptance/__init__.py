"""What a user is promised, tried from outside: real programs, the real terminal, the real record."""
