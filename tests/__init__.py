"""The tests of probinv, one folder for each room."""
