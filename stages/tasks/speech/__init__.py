"""Speech to phonemes with CTC, after CMU 11-785's HW3P2: frames at 100 a second in, a string of phonemes out."""

# The 41 symbols in the order of spring 2023; a symbol's index is its class, and its character stands for it in text.
# Blank is CTC's; note that the character G is the symbol NG, and g is G.
SYMBOLS = (
    "", "[SIL]", "NG", "F", "M", "AE", "R", "UW", "N", "IY", "AW", "V", "UH", "OW",
    "AA", "ER", "HH", "Z", "K", "CH", "W", "EY", "ZH", "T", "EH", "Y", "AH", "B",
    "P", "TH", "DH", "AO", "G", "L", "JH", "OY", "SH", "D", "AY", "S", "IH",
)  # fmt: skip
CHARACTERS = " -Gfm@rUniWvuoaRhzkCweZtEyAbpTDcgljOSdYsI"
# The symbols of spring 2022 in an order of its own, and the other characters that its submissions are written in.
SYMBOLS_2022 = (
    "", "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH",
    "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
CHARACTERS_2022 = " .aAhowybcdDerEfgHiIjklmnNOYpRsStTuUvW?zZ"
# 2021 had one more, a spoken noise, of which we have no class.
SYMBOLS_2021 = (*SYMBOLS_2022[:2], "SPN", *SYMBOLS_2022[2:])
CHARACTERS_2021 = " .!" + CHARACTERS_2022[2:]
# The years whose submissions have characters of their own: their symbols, and a character for each.
ALPHABETS = {
    "2021": (SYMBOLS_2021, CHARACTERS_2021),
    "2022": (SYMBOLS_2022, CHARACTERS_2022),
    "2023": (SYMBOLS, CHARACTERS),
}
MEL_BANDS = 40  # the features of 2021; those of all other data are MFCCs, which any number of can be taken from the first
BLANK = 0
NUM_CLASSES = len(SYMBOLS)
# What a character stands for, in words; blank has none.
NAMES = dict(zip(CHARACTERS[1:], (symbol.strip("[]") for symbol in SYMBOLS[1:]), strict=True))
