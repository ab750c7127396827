"""One file a part: what it measures stands in its first lines."""
