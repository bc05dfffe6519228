"""Kaggle's submission file for `cifar-10`: id,label with the class's name."""

from stages.results.submission_file import ClassFile
from stages.tasks.cifar10 import CLASSES, HEADER

FILE = ClassFile(HEADER, CLASSES, "one of the ten class names")
write, check = FILE.write, FILE.check
