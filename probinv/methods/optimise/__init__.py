"""Single answers: points, not draws."""
