"""Faces: who is it (classification), and is it anybody we know (verification)? CMU 11-785's HW2P2."""

UNKNOWN = "n000000"  # the verification label of a face that is none of the known ones
