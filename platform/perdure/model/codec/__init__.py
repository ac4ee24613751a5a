"""Values to JSON and back, checked to come out as they went in."""
