"""What commands show: pure functions from model values to lines, tested as text. Never I/O, never a clock."""
