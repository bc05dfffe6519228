"""Speech to phonemes with CTC, after CMU 11-785's HW3P2: from 100 frames a second to a string of phonemes."""

# The 41 symbols in the order of spring 2023. A symbol's index is its class, and a character stands for it in strings.
# The first is CTC's blank. Note that the character G is the symbol NG, and g is G.
SYMBOLS = (
    "", "[SIL]", "NG", "F", "M", "AE", "R", "UW", "N", "IY", "AW", "V", "UH", "OW",
    "AA", "ER", "HH", "Z", "K", "CH", "W", "EY", "ZH", "T", "EH", "Y", "AH", "B",
    "P", "TH", "DH", "AO", "G", "L", "JH", "OY", "SH", "D", "AY", "S", "IH",
)  # fmt: skip
CHARACTERS = " -Gfm@rUniWvuoaRhzkCweZtEyAbpTDcgljOSdYsI"
# The symbols of spring 2022, in another order, and the other characters of its submissions.
SYMBOLS_2022 = (
    "", "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH",
    "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
CHARACTERS_2022 = " .aAhowybcdDerEfgHiIjklmnNOYpRsStTuUvW?zZ"
# 2021 had one more symbol, spoken noise, for which there is no class here.
SYMBOLS_2021 = (*SYMBOLS_2022[:2], "SPN", *SYMBOLS_2022[2:])
CHARACTERS_2021 = " .!" + CHARACTERS_2022[2:]
# The symbols and characters of each year's submissions.
ALPHABETS = {
    "2021": (SYMBOLS_2021, CHARACTERS_2021),
    "2022": (SYMBOLS_2022, CHARACTERS_2022),
    "2023": (SYMBOLS, CHARACTERS),
}
MEL_BANDS = 40  # the features of 2021; all other data are MFCCs, of which the first ones can be used alone
BLANK = 0
NUM_CLASSES = len(SYMBOLS)
# The symbol of each character, without brackets and without the blank.
NAMES = dict(zip(CHARACTERS[1:], (symbol.strip("[]") for symbol in SYMBOLS[1:]), strict=True))
