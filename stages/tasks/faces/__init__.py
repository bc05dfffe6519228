"""Faces: who is it (classification), and is it a known person (verification)? CMU 11-785's HW2P2."""

UNKNOWN = "n000000"  # the verification label of an unknown face
