"""Cenote beside other engines: random statements and SELECTs, predicates against themselves, and transfers under kill -9."""
