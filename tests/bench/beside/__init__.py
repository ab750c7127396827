"""Cenote's figures, each beside a real alternative on the same machine in the same run."""
