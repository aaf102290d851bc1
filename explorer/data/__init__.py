"""Where examples come from: CIFAR-10, image folders, digits plain and cluttered; the array cache and fixed splits.

source     locate a data set, or find that it can be downloaded, by path checks alone
preparing  decode it once into the memory-mapped cache
splits     training, validation and calibration examples, fixed and stratified
"""
