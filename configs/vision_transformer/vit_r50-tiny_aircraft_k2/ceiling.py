# What the small network reaches on the large image.
_base_ = '../vit-tiny-p16_90e_aircraft.py'
