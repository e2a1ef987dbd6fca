"""The tests of the room likelihood/."""
